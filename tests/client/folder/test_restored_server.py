"""A server that was restored from an older copy gets back what it has lost; nothing goes here."""

from collections.abc import Iterator
from hashlib import sha256
from itertools import product
from pathlib import Path

import pytest

from fixtures.checkout import CHECKOUT
from fixtures.failovers import Failover
from fixtures.mirrors import texts, write
from simulation.device import Device
from syncapi.client.api.client import Client

DOCUMENTATION = CHECKOUT / "docs" / "client-folder.md"

Cell = tuple[str, str]
"""What the folder holds, and what the server has now."""


@pytest.fixture
def laptop(failover: Failover, tmp_path: Path) -> Device:
    return failover.device("laptop", tmp_path)


@pytest.fixture
def desktop(failover: Failover, tmp_path: Path) -> Device:
    return failover.device("desktop", tmp_path)


async def test_what_was_lost_is_pushed_again(
    failover: Failover, laptop: Device, desktop: Device
) -> None:
    for name in ("same", "edited", "deleted"):
        (laptop.root / name).write_text(f"first {name}")
    await laptop.sync_calmly()
    failover.fork()
    (laptop.root / "edited").write_text("second edited")
    (laptop.root / "new").write_text("new")
    (laptop.root / "deleted").unlink()
    await laptop.sync_calmly()
    failover.take_over(laptop, desktop)

    report = await laptop.sync_calmly()

    assert report.failures == []
    assert report.conflicts == []
    await desktop.sync_calmly()
    # The deletion is lost with the rest: nothing here says any more that the document was there.
    wanted = {
        "same": "first same",
        "edited": "second edited",
        "new": "new",
        "deleted": "first deleted",
    }
    assert texts(laptop) == wanted
    assert texts(desktop) == wanted
    assert (await laptop.sync_calmly()).done == []


async def test_what_is_older_than_what_was_pulled_last(
    failover: Failover, laptop: Device, desktop: Device
) -> None:
    """Both are lost: that of the folder is not taken for one that was deleted there."""
    write(laptop, "kept", "kept")
    await laptop.sync_calmly()
    failover.fork()
    write(laptop, "a", "older")
    for device in (laptop, desktop):
        await device.sync_calmly()
    write(desktop, "a", "newer")
    await desktop.sync_calmly()
    async with laptop.opened() as mirror:
        await mirror.look()  # it pulls, and fetches nothing
    failover.take_over(laptop)
    assert (await laptop.sync_calmly()).counts == {"create": 1}
    assert texts(laptop) == {"kept": "kept", "a": "older"}
    assert (await laptop.sync_calmly()).done == []


async def test_what_others_changed_since_is_a_conflict(
    failover: Failover, laptop: Device, desktop: Device
) -> None:
    (laptop.root / "both").write_text("first")
    await laptop.sync_calmly()
    await desktop.sync_calmly()
    failover.fork()
    (laptop.root / "both").write_text("seen by the laptop alone")
    await laptop.sync_calmly()
    failover.take_over(laptop, desktop)
    (desktop.root / "both").write_text("written after the restore")
    await desktop.sync_calmly()

    report = await laptop.sync_calmly()

    (conflict,) = report.conflicts
    await desktop.sync_calmly()
    for device in (laptop, desktop):
        assert texts(device) == {
            "both": "written after the restore",
            conflict.copy_path: "seen by the laptop alone",
        }


def table() -> dict[Cell, str]:
    """The outcome of each cell."""
    found: dict[Cell, str] = {}
    columns: list[str] = []
    text = DOCUMENTATION.read_text().partition("<!-- The tests read this table. -->")[2]
    for line in text.strip().partition("\n\n")[0].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0] == "held":
            columns = cells[1:]
        elif not cells[0].startswith("---"):
            row = zip(columns, cells[1:], strict=True)
            found |= {(cells[0], column): outcome for column, outcome in row}
    return found


def path_of(cell: Cell) -> str:
    return f"{', '.join(cell)}.txt"


def text_of(cell: Cell, what: str) -> str:
    return f"{what} of {', '.join(cell)}"


def cells(*there: str) -> Iterator[Cell]:
    return (cell for cell in table() if cell[1] in there)


@pytest.mark.parametrize("is_pulled", [True, False], ids=["pulled", "pushed only"])
async def test_what_the_folder_holds_beyond_the_server(
    is_pulled: bool, failover: Failover, laptop: Device, desktop: Device, tmp_path: Path
) -> None:
    """All cells at once. What was pushed only is known to no cursor."""
    others = [there for _, there in table() if there != "nothing"]
    for cell in cells(*others):
        write(laptop, path_of(cell), text_of(cell, "older"))
    await laptop.sync_calmly()
    await desktop.sync_calmly()
    failover.fork()
    for cell in table():
        write(laptop, path_of(cell), text_of(cell, "lost"))
    await laptop.sync_calmly()
    if is_pulled:
        await laptop.sync_calmly()
    for (held, there), what in product(table(), ("mine", "older")):
        if (held, what) in {("edited", "mine"), ("edited back", "older")}:
            write(laptop, path_of((held, there)), text_of((held, there), what))
    for cell in table():
        if cell[0] == "deleted":
            (laptop.root / path_of(cell)).unlink()
    failover.take_over(laptop, desktop)
    await write_since(desktop)

    assert (await laptop.sync_calmly()).failures == []
    assert (await laptop.sync_calmly()).done == []

    reader = failover.device("reader", tmp_path)
    await reader.sync_calmly()
    assert texts(reader) == texts(laptop)
    trashed = laptop.kept() - set(laptop.tree().values())
    found = {cell: outcome(cell, texts(reader), trashed) for cell in table()}
    assert found == table()


async def write_since(desktop: Device) -> None:
    """Write as somebody who knows nothing of what is lost."""
    for cell in cells("changed since"):
        write(desktop, path_of(cell), text_of(cell, "theirs"))
    for cell in cells("deleted since"):
        (desktop.root / path_of(cell)).unlink()
    await desktop.sync_calmly()
    async with desktop.opened() as mirror:
        entries = [mirror.find(path_of(cell)) for cell in cells("erased since")]
    async with Client(*desktop._where) as client:
        for entry in entries:
            assert entry is not None
            await client.delete_document(entry.id, hard=True)


def outcome(cell: Cell, there: dict[str, str], trashed: set[str]) -> str:
    """What became of a file, in the words of the table."""
    what = {text_of(cell, word): word for word in ("lost", "mine", "theirs", "older")}
    if cell[0] == "edited back":
        what[text_of(cell, "older")] = "mine"
    own = there.get(path_of(cell))
    words = ["gone" if own is None else what[own]]
    copies = [text for path, text in there.items() if text in what and path != path_of(cell)]
    words += [f"beside: {what[text]}" for text in copies]
    binned = {sha256(text.encode()).hexdigest(): word for text, word in what.items()}
    words += [f"trashed: {word}" for hashed, word in binned.items() if hashed in trashed]
    return ", ".join(words)
