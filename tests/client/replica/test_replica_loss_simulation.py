"""Losses of history at any point of the life of several devices, by a seed.

At rest every replica equals the server, and what a device held when the server lost it is
somewhere: in the server's history, or with a device as a conflict that is open or settled.
"""

import random
from contextlib import suppress

import asyncpg
import pytest

from fixtures.failovers import Failover
from fixtures.replica_actors import STRATEGIES, Actor, at_rest, in_the_history, twice_applied
from fixtures.replicas import MakeDevice
from fixtures.writing import SqlWriter
from syncapi.client.errors import NotFound

ROUNDS = 60


def held(actor: Actor) -> set[str]:
    """SHA-256 of what a device holds and has not written over itself."""
    replica = actor.device.replica
    pending = replica.pending()
    conflicts = replica.conflicts()
    given_up = {c.id for c in pending if c.op == "delete" or c.content is not None}
    given_up |= {record.id for record in conflicts}
    kept = {d.file.sha256_hash for d in replica.remote() if d.id not in given_up}
    kept |= {change.content.sha256 for change in pending if change.content is not None}
    kept |= {r.server.file.sha256_hash for r in conflicts if r.server is not None}
    return kept | actor.kept()


def nobody_holds(actors: list[Actor]) -> set[str]:
    """What was written and is not held by anybody: it is lost with the server that had it."""
    written = {content for actor in actors for content in actor.written}
    return written.difference(*map(held, actors))


async def writer_of(failover: Failover) -> tuple[SqlWriter, asyncpg.Connection]:
    connection = await asyncpg.connect(failover.database_url)
    return await SqlWriter.of(connection, failover.account.tenant_id), connection


async def erase(actor: Actor, actors: list[Actor], gone: set[str]) -> None:
    """Erase a document for good; its history goes with it."""
    documents = list(actor.device.replica.remote())
    if documents:
        document = actor.rng.choice(documents)
        with suppress(NotFound):
            await actor.device.client.delete_document(document.id, hard=True)
        for one in actors:
            gone |= {content for content, id_ in one.written.items() if id_ == document.id}


async def play(
    seed: int, failover: Failover, make_device: MakeDevice
) -> tuple[list[str], list[Actor], set[str]]:
    rng, trace, gone = random.Random(seed), list[str](), set[str]()
    devices = [
        make_device(
            failover.account,
            strategy=strategy,
            seed=f"{seed} device {number}",
            per_page=rng.choice((2, 7, 500)),
        )
        for number, strategy in enumerate(STRATEGIES)
    ]
    actors = [
        Actor(device, random.Random(f"{seed} {number}"), trace, undoes=2)
        for number, device in enumerate(devices)
    ]
    has_forked = False
    for _ in range(ROUNDS):
        actor = rng.choice(actors)
        for _ in range(rng.randint(0, 3)):
            actor.edit()
        await actor.run()
        if rng.random() < 0.2:
            actor.resolve()
        if rng.random() < 0.05:
            await erase(actor, actors, gone)
        chance = rng.random()
        if not has_forked and chance < 0.15:
            failover.fork()
            has_forked = True
            trace.append("fork")
        elif has_forked and chance < 0.15:
            gone |= nobody_holds(actors)
            failover.take_over(*devices)
            has_forked = False
            trace.append("loss")
    return trace, actors, gone


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_what_somebody_holds_is_not_lost(
    seed: int, failover: Failover, make_device: MakeDevice
) -> None:
    trace, actors, gone = await play(seed, failover, make_device)
    assert "loss" in trace
    await at_rest(actors)

    writer, connection = await writer_of(failover)
    try:
        server, history = await writer.live(), await in_the_history(writer)
        assert await twice_applied(writer) == []
    finally:
        await connection.close()
    for actor in actors:
        replica = actor.device.replica
        assert {d.id: d.updated_at for d in replica.remote()} == server
        assert replica.documents() == sorted(replica.remote(), key=lambda d: str(d.id))
        assert (replica.pending(), replica.conflicts()) == ([], [])
    kept = history.union(*(actor.kept() for actor in actors))
    for actor in actors:
        missing = set(actor.written) - actor.replaced - gone - kept
        assert missing == set(), trace
