"""What becomes of what a replica holds beyond the server's history: the tables in docs/client.md.

Every cell is a document of its own; all of a table meet the same server at once, and once for each
order of events.
"""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import product
from uuid import UUID

import httpx
import pytest

from fixtures.checkout import CHECKOUT
from fixtures.failovers import Failover
from fixtures.replicas import Device, MakeDevice
from fixtures.service import TestTenant
from fixtures.writing import MakeWriter
from syncapi.client.errors import NotFound, Unreachable
from syncapi.client.follower.machine import Phase, State

CLIENT = CHECKOUT / "docs" / "client.md"

Cell = tuple[str, str]
"""What is held here, and what the server has now."""


def tables() -> list[dict[Cell, str]]:
    """The outcome of each cell, of both tables."""
    text = CLIENT.read_text().partition("<!-- The tests read the next two tables. -->")[2]
    found: list[dict[Cell, str]] = []
    columns: list[str] = []
    for line in text.partition("\n### ")[0].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0] == "here":
            columns = cells[1:]
            found.append({})
        elif line.startswith("|") and not cells[0].startswith("---"):
            for column, outcome in zip(columns, cells[1:], strict=True):
                found[-1][cells[0], column] = outcome
    return found


LOST, COLLECTED = tables()


def test_no_cell_is_missing() -> None:
    for table in (LOST, COLLECTED):
        rows, columns = ({cell[side] for cell in table} for side in (0, 1))
        assert set(table) == set(product(rows, columns))
        assert all(table.values())


def bytes_of(cell: Cell, what: str) -> bytes:
    return f"{what} of {', '.join(cell)}".encode()


@dataclass
class Scene:
    """A device, and others that write to the same documents.

    Attributes:
        ahead: the device that is looked at.
        other: writes what `ahead` sees before the loss.
        has_lost: the server loses something.
    """

    ahead: Device
    other: Device
    cells: list[Cell]
    has_lost: bool = True
    ids: dict[Cell, UUID] = field(default_factory=dict)

    def of(self, *here: str) -> Iterator[tuple[Cell, UUID]]:
        return ((cell, id_) for cell, id_ in self.ids.items() if cell[0] in here)

    async def create(self, *, made_later: bool) -> None:
        """Make the older versions; of those that the server has nothing of, in the lost part."""
        for cell in self.cells:
            if (cell[1] == "nothing") is made_later:
                made = self.other.replica.create("name.txt", bytes_of(cell, "older"))
                self.ids[cell] = made.id
        await self.other.replica.sync()
        await self.ahead.replica.sync()

    async def write(self) -> None:
        """Write the versions that are lost, and what is changed here."""
        ahead, other = self.ahead.replica, self.other.replica
        for cell, id_ in self.of("in conflict with mine"):
            ahead.update(id_, content=bytes_of(cell, "mine"))
        late = ("as it was pushed", "deleted, as it was pushed", "an older one edited")
        for cell, id_ in self.ids.items():
            if cell[0] not in late:
                other.update(id_, content=bytes_of(cell, "lost"))
        await other.sync()
        await ahead.sync()
        await self.push_mine()
        for cell, id_ in self.of("an older one edited"):
            ahead.update(id_, content=bytes_of(cell, "mine"))
            other.update(id_, content=bytes_of(cell, "lost"))
        await other.sync()
        await ahead.pull()
        for cell, id_ in self.of("edited"):
            ahead.update(id_, content=bytes_of(cell, "mine"))
        for cell, id_ in self.of("edited back"):
            ahead.update(id_, content=bytes_of(cell, "older"))
        for _, id_ in self.of("deleted"):
            ahead.delete(id_)

    async def push_mine(self) -> None:
        """Push from `ahead` what only it writes."""
        for cell, id_ in self.of("as it was pushed"):
            self.ahead.replica.update(id_, content=bytes_of(cell, "lost"))
        for _, id_ in self.of("deleted, as it was pushed"):
            self.ahead.replica.delete(id_)
        await self.ahead.replica.push()

    async def write_since(self, survivor: Device) -> None:
        """Write as somebody who knows nothing of what is lost."""
        for cell, id_ in self.ids.items():
            match cell[1]:
                case "changed since":
                    survivor.replica.update(id_, content=bytes_of(cell, "theirs"))
                case "deleted since":
                    survivor.replica.delete(id_)
                case "erased since":
                    await survivor.client.delete_document(id_, hard=True)
                case _:
                    pass
        await survivor.replica.push()

    async def outcomes(self, reader: Device) -> dict[Cell, str]:
        """What became of each document, in the words of the tables.

        Args:
            reader: a device that holds nothing yet.
        """
        await reader.replica.sync()
        copies = {
            reader.bytes_of(document.id)
            for document in reader.replica.remote()
            if document.filename.startswith("name (conflict")
        }
        return {cell: await self._outcome(cell, reader, copies) for cell in self.ids}

    async def _outcome(self, cell: Cell, reader: Device, copies: set[bytes | None]) -> str:
        id_, words = self.ids[cell], []
        what = {bytes_of(cell, word): word for word in ("lost", "mine", "theirs", "older")}
        if cell[0] == "edited back":
            what[bytes_of(cell, "older")] = "mine"
        last = what[reader.bytes_of(id_) or b""] if reader.replica.document(id_) else "gone"
        if self.has_lost and last != "lost" and await self._was_brought_back(cell, reader):
            words.append("lost")
        words.append(last)
        replica = self.ahead.replica
        for name, records in (("open", replica.conflicts()), ("settled", replica.settled())):
            for record in records:
                if record.id == id_ and record.mine.content is not None:
                    kept = record.mine.content
                    with self.ahead.store.blobs.content(kept.sha256, kept.size).open() as stream:
                        words.append(f"{name}: {what[stream.read()]}")
        words += [f"beside: {word}" for content, word in what.items() if content in copies]
        return ", ".join(words)

    async def _was_brought_back(self, cell: Cell, reader: Device) -> bool:
        """Whether the server has the lost version in its history now."""
        lost = sha256(bytes_of(cell, "lost")).hexdigest()
        try:
            versions = [version async for version in reader.client.versions(self.ids[cell])]
        except NotFound:
            return False
        return lost in {version.file.sha256_hash for version in versions if version.file}


async def push_only(scene: Scene, *, made_later: bool) -> None:
    """Make and write documents with one device, which pulls nothing."""
    replica = scene.ahead.replica
    for cell in scene.cells:
        if (cell[1] == "nothing") is made_later:
            scene.ids[cell] = replica.create("name.txt", bytes_of(cell, "older")).id
    await replica.push()


async def at_once(_device: Device) -> None:
    """Nothing happens before the sync."""


async def pushes_first(device: Device) -> None:
    await device.replica.push()


async def pulls_first(device: Device) -> None:
    await device.replica.pull()


async def is_filling(device: Device) -> None:
    """The first run had come as far as its cursor says."""
    machine = device.replica._follower._tables.machine
    device.replica._follower._tables.keep(State(Phase.FILLING, machine.cursor))


async def is_following(device: Device) -> None:
    machine = device.replica._follower._tables.machine
    device.replica._follower._tables.keep(State(Phase.FOLLOWING, machine.cursor))


async def is_cut_short_while_resyncing(device: Device) -> None:
    answers = 0

    def loses(_request: httpx.Request) -> bool:
        nonlocal answers
        answers += 1
        return answers > 2  # the 410, and a page

    await pull_in_vain(device, loses)
    assert device.replica._follower._tables.machine.phase is Phase.RESYNCING


async def is_cut_short_while_comparing(device: Device) -> None:
    """The history is asked for in the comparison, and for pages with what was pushed."""
    await pull_in_vain(device, lambda request: request.url.path.endswith("/history"))
    assert device.replica._follower._tables.machine.phase in {Phase.COMPARING, Phase.FOLLOWING}


async def pull_in_vain(device: Device, loses: Callable[[httpx.Request], bool]) -> None:
    device.line.loses = loses
    with pytest.raises(Unreachable):
        await device.replica.pull()
    device.line.loses = lambda _request: False
    device.reopen()


ORDERS: list[Callable[[Device], Awaitable[None]]] = [
    at_once,
    pushes_first,
    pulls_first,
    is_filling,
    is_following,
    is_cut_short_while_resyncing,
    is_cut_short_while_comparing,
]


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order.__name__)
async def test_what_the_server_has_lost(
    order: Callable[[Device], Awaitable[None]], failover: Failover, make_device: MakeDevice
) -> None:
    account = failover.account
    ahead, other, survivor = make_device(account, per_page=7), *map(make_device, [account] * 2)
    scene = Scene(ahead, other, list(LOST))
    await scene.create(made_later=False)
    await survivor.replica.sync()
    failover.fork()
    await scene.create(made_later=True)
    await scene.write()
    failover.take_over(ahead, survivor)
    await scene.write_since(survivor)

    await order(ahead)
    for _ in range(2):
        await ahead.replica.sync()

    assert (ahead.replica.pending(), ahead.replica.failures()) == ([], [])
    assert await scene.outcomes(make_device(ahead.account)) == LOST


async def is_new(device: Device) -> None:
    """It pushed before its first run."""
    device.replica._follower._tables.keep(State())


@pytest.mark.parametrize(
    "order",
    [at_once, pushes_first, is_new, is_filling, is_cut_short_while_comparing],
    ids=lambda order: order.__name__,
)
async def test_what_was_pushed_and_never_pulled(
    order: Callable[[Device], Awaitable[None]], failover: Failover, make_device: MakeDevice
) -> None:
    """The cursor is from before the loss, so that no 410 tells of it."""
    rows = {cell: outcome for cell, outcome in LOST.items() if "pushed" in cell[0]}
    ahead, survivor = make_device(failover.account, per_page=7), make_device(failover.account)
    scene = Scene(ahead, survivor, list(rows))
    await push_only(scene, made_later=False)
    await ahead.replica.pull()
    await survivor.replica.sync()
    failover.fork()
    await push_only(scene, made_later=True)
    await scene.push_mine()
    failover.take_over(ahead, survivor)
    await scene.write_since(survivor)

    await order(ahead)
    for _ in range(2):
        await ahead.replica.sync()

    assert (ahead.replica.pending(), ahead.replica.failures()) == ([], [])
    assert await scene.outcomes(make_device(ahead.account)) == rows


@pytest.mark.parametrize(
    "order", [at_once, pushes_first, pulls_first], ids=lambda order: order.__name__
)
async def test_what_tombstones_were_collected_of(
    order: Callable[[Device], Awaitable[None]],
    tenant: TestTenant,
    make_device: MakeDevice,
    make_writer: MakeWriter,
) -> None:
    ahead, other, survivor = (make_device(tenant) for _ in range(3))
    scene = Scene(ahead, other, list(COLLECTED), has_lost=False)
    await scene.create(made_later=False)
    await scene.create(made_later=True)
    await scene.write()
    await survivor.replica.sync()
    await scene.write_since(survivor)
    for cell, id_ in scene.ids.items():
        if cell[1] == "nothing":
            survivor.replica.delete(id_)
    await survivor.replica.push()
    await (await make_writer(tenant.id)).collect_tombstones()

    await order(ahead)
    for _ in range(2):
        await ahead.replica.sync()

    assert (ahead.replica.pending(), ahead.replica.failures()) == ([], [])
    assert await scene.outcomes(make_device(tenant)) == COLLECTED
