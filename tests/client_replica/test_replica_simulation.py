"""Several devices with everything mixed, by a seed: edits, runs, crashes, lost answers, resyncs.

At rest every replica equals the server, and whatever was written is somewhere: in the history, or
with the device that wrote it. The same seed makes the same run.
"""

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx
import pytest

from fixtures.replicas import Crash, Device, MakeDevice, crashing
from fixtures.service import MakeTenant, TestTenant
from fixtures.writing import MakeWriter, SqlWriter
from syncapi.client.errors import Unreachable
from syncapi.client.replica.conflicts import (
    KEEP_BOTH,
    Strategy,
    default_strategy,
    first_write_wins,
    last_write_wins,
    manual,
    merge,
)

ROUNDS = 70
STRATEGIES: list[Strategy] = [
    default_strategy,
    lambda _: KEEP_BOTH,
    last_write_wins,
    first_write_wins,
    merge,
    manual,
]


@dataclass
class Actor:
    """A device, and what it is known to have written.

    Attributes:
        written: SHA-256 of contents, with the document of each.
        replaced: of them those that it wrote over itself before they had left the device.
    """

    device: Device
    rng: random.Random
    trace: list[str]
    written: dict[str, UUID] = field(default_factory=dict)
    replaced: set[str] = field(default_factory=set)
    count: int = 0
    _last: bytes = b""

    def edit(self) -> None:
        self.count += 1
        replica = self.device.replica
        known = sorted(replica.documents(), key=lambda document: document.id)
        kind = self.rng.choices(("create", "content", "name", "type", "delete"), (3, 5, 4, 2, 1))
        if not known or kind[0] == "create":
            content = self._content()
            made = replica.create(f"{self.count}.txt", content, folder=self._folder())
            self._wrote(made.id)
            return
        document = self.rng.choice(known)
        match kind[0]:
            case "content":
                self._replace(document.id)
                replica.update(document.id, content=self._content())
                self._wrote(document.id)
            case "name":
                name, folder = f"renamed {self.count}.txt", self._folder()
                replica.update(document.id, filename=name, folder=folder)
            case "type":
                kind_of = self.rng.choice(("text/plain", "text/csv", "text/markdown"))
                replica.update(document.id, mime_type=kind_of)
            case _:
                self._replace(document.id)
                replica.delete(document.id)

    def resolve(self) -> None:
        """Settle an open conflict by hand."""
        conflicts = self.device.replica.conflicts()
        if conflicts:
            conflict = self.rng.choice(conflicts)
            self.device.replica.resolve(conflict.id, self.rng.choice(("mine", "theirs", "both")))

    async def run(self) -> None:
        """A run, that may be cut short in three ways; or wholly."""
        replica = self.device.replica
        run = self.rng.choices((replica.sync, replica.pull, replica.push), (4, 2, 2))[0]
        way = self.rng.choice(("whole", "whole", "crash", "lost", "down"))
        outcome = "whole"
        at, share = self.rng.randint(1, 16), self.rng.random()
        losses = random.Random(share)
        if way in {"lost", "down"}:
            self.device.line.loses = lambda request: _is_lost(request, losses, way)
        try:
            with crashing(at if way == "crash" else 0, only_commits=True):
                await run()
        except (Crash, Unreachable) as end:
            outcome = type(end).__name__
            self.device.line.loses = lambda _request: False
            self.device.reopen()
        self.device.line.loses = lambda _request: False
        self.trace.append(f"{run.__name__} {way} {outcome}")

    def kept(self) -> set[str]:
        """Contents that did not win, or have not been settled yet."""
        replica = self.device.replica
        records = [*replica.settled(), *replica.conflicts()]
        return {record.mine.content.sha256 for record in records if record.mine.content}

    def _content(self) -> bytes:
        self._last = f"{self.rng.random()} {self.count}".encode()
        return self._last

    def _wrote(self, document: UUID) -> None:
        found = self.device.replica.document(document)
        assert found is not None
        assert self.device.bytes_of(document) == self._last
        self.written[found.file.sha256_hash] = document

    def _replace(self, document: UUID) -> None:
        """What waits of this document gives way to what comes now, by one's own will."""
        replica = self.device.replica
        mine = [change for change in replica.pending() if change.id == document]
        mine += [record.mine for record in replica.conflicts() if record.id == document]
        self.replaced |= {change.content.sha256 for change in mine if change.content}

    def _folder(self) -> str:
        return self.rng.choice(("", "a", "a/b"))


def _is_lost(request: httpx.Request, losses: random.Random, way: str) -> bool:
    """Of pages and pushes, which go one after the other: their order is the same each time."""
    is_one = request.url.path.endswith("/documents/sync")
    return is_one and (way == "down" or request.method == "POST") and losses.random() < 0.4


async def in_the_history(writer: SqlWriter) -> set[str]:
    rows: list[Any] = await writer.connection.fetch(
        "SELECT sha256_hash FROM document_history AS version JOIN files AS file"
        " ON file.tenant_id = version.tenant_id AND file.id = version.file_id"
        " WHERE version.tenant_id = $1",
        writer.tenant_id,
    )
    return {row["sha256_hash"] for row in rows}


async def twice_applied(writer: SqlWriter) -> list[Any]:
    query = """SELECT change_id FROM document_history
               WHERE tenant_id = $1 AND change_id IS NOT NULL
               GROUP BY change_id HAVING count(*) > 1"""
    rows: list[Any] = await writer.connection.fetch(query, writer.tenant_id)
    return rows


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
    seed: int, tenant: TestTenant, make_device: MakeDevice, make_writer: MakeWriter
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
    for _ in range(ROUNDS):
        actor = rng.choice(actors)
        for _ in range(rng.randint(0, 3)):
            actor.edit()
        await actor.run()
        if rng.random() < 0.3:
            actor.resolve()
        if rng.random() < 0.2:
            trace.append(await disturb(rng, writer, tenant, erased))
    return trace, actors, erased


async def at_rest(actors: list[Actor]) -> None:
    """Settle what is open, and run until nobody has anything to say."""
    for _ in range(20):
        busy = False
        for actor in actors:
            for conflict in actor.device.replica.conflicts():
                actor.device.replica.resolve(conflict.id, "both")
            result = await actor.device.replica.sync()
            busy |= bool(result.pushed or result.added or result.modified or result.deleted)
        if not busy:
            return
    raise AssertionError("they never come to rest")


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
        trace, actors, _ = await play(7, tenant, make_device, make_writer)
        await at_rest(actors)
        runs.append((trace, [seen_by(actor.device) for actor in actors]))
    assert runs[0] == runs[1]
