"""Several devices with everything mixed, by a seed: edits, runs, crashes, lost answers, resyncs.

At rest every replica equals the server, and whatever was written is somewhere: in the history, or
with the device that wrote it. The same seed makes the same run.
"""

import random
from collections import Counter

import pytest

from fixtures.replica_actors import (
    STRATEGIES,
    Actor,
    at_rest,
    in_the_history,
    twice_applied,
)
from fixtures.replicas import Device, MakeDevice
from fixtures.service import MakeTenant, TestTenant
from fixtures.writing import MakeWriter, SqlWriter

ROUNDS = 70


async def disturb(
    rng: random.Random, writer: SqlWriter, tenant: TestTenant, erased: set[str]
) -> str:
    """What happens on the server by itself. What is erased for good is noted in `erased`."""
    live = sorted(await writer.live())
    some = rng.sample(live, min(2, len(live)))
    what = rng.choice(("touch", "delete", "erase", "collect"))
    match what:
        case "touch":
            name = f"touched {rng.random()}.txt"
            await writer._update("filename = $3", tuple(some), name)
        case "delete":
            await writer.delete(*some)
        case "erase":
            erased |= await in_the_history(writer)
            for document in some[:1]:
                await tenant.admin.delete(f"/documents/{document}", params={"hard": "true"})
        case _:
            await writer.delete(*some[:1])
            await writer.collect_tombstones()
    return what


async def play(
    seed: int,
    tenant: TestTenant,
    make_device: MakeDevice,
    make_writer: MakeWriter,
    rounds: int = ROUNDS,
) -> tuple[list[str], list[Actor], set[str]]:
    rng, trace, erased = random.Random(seed), list[str](), set[str]()
    writer = await make_writer(tenant.id)
    actors = [
        Actor(
            make_device(
                tenant,
                strategy=strategy,
                seed=f"{seed} device {number}",
                per_page=rng.choice((2, 7, 500)),
            ),
            random.Random(f"{seed} {number}"),
            trace,
        )
        for number, strategy in enumerate(STRATEGIES)
    ]
    for _ in range(rounds):
        actor = rng.choice(actors)
        for _ in range(rng.randint(0, 3)):
            actor.edit()
        await actor.run()
        if rng.random() < 0.3:
            actor.resolve()
        if rng.random() < 0.2:
            trace.append(await disturb(rng, writer, tenant, erased))
    return trace, actors, erased


def seen_by(device: Device) -> list[tuple[str, str, str, bytes | None]]:
    found = device.replica.documents()
    return sorted((d.folder, d.filename, d.mime_type, device.bytes_of(d.id)) for d in found)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_nothing_is_lost(
    seed: int, tenant: TestTenant, make_device: MakeDevice, make_writer: MakeWriter
) -> None:
    trace, actors, erased = await play(seed, tenant, make_device, make_writer)
    await at_rest(actors)

    writer = await make_writer(tenant.id)
    server = await writer.live()
    for actor in actors:
        replica = actor.device.replica
        assert {d.id: d.updated_at for d in replica.remote()} == server
        assert replica.documents() == sorted(replica.remote(), key=lambda d: str(d.id))
        assert (replica.pending(), replica.conflicts()) == ([], [])
        assert_whole(actor.device)
    kept = erased.union(await in_the_history(writer), *(actor.kept() for actor in actors))
    for actor in actors:
        assert set(actor.written) - actor.replaced <= kept
    assert await twice_applied(writer) == []
    assert Counter(line.rpartition(" ")[2] for line in trace)["Crash"] > 3, "it was no calm run"


def assert_whole(device: Device) -> None:
    """Every content is there but those whose bytes are nowhere; and no part is left."""
    failed = {failure.id for failure in device.replica.failures()}
    for document in device.replica.remote():
        assert (device.replica.content(document.id) is None) is (document.id in failed)
    assert not list(device.folder.glob("blobs/*.part"))


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_the_same_seed_makes_the_same_run(
    make_tenant: MakeTenant, make_device: MakeDevice, make_writer: MakeWriter
) -> None:
    runs = []
    for _ in range(2):
        tenant = await make_tenant()
        trace, actors, _ = await play(7, tenant, make_device, make_writer, rounds=25)
        await at_rest(actors)
        runs.append((trace, [seen_by(actor.device) for actor in actors]))
    assert runs[0] == runs[1]
