"""A sync gives the files of a broken-off decision their own names back, wherever they are.

Where it cannot, it pushes neither of them in place of the other.
"""

from pathlib import Path

import pytest

from fixtures.mirrors import texts, write
from simulation.crashes import Crashed, crash_at
from simulation.device import Device
from syncapi.client import durable
from syncapi.client.errors import SyncError
from syncapi.client.folder.reports import FolderConflict, MirrorReport


async def sync(device: Device) -> MirrorReport:
    async with device.opened() as mirror:
        return await mirror.sync()


async def write_and_sync(device: Device, path: str, text: str) -> None:
    write(device, path, text)
    await sync(device)


async def broken_off(device: Device, other: Device) -> FolderConflict:
    """A conflict in the folder `p`, whose files have each other's names."""
    await write_and_sync(device, "p/a.txt", "was")
    await sync(other)
    await write_and_sync(other, "p/a.txt", "theirs")
    await write_and_sync(device, "p/a.txt", "mine")
    (conflict,) = await device.conflicts()
    async with device.seen() as mirror:
        with pytest.raises(Crashed), crash_at(1, is_after=False, among={"move"}):
            mirror.resolve(conflict.copy_path, "mine")
    assert (device.root / "p/a.txt").read_text() == "mine"
    return conflict


async def test_their_folder_was_renamed(laptop: Device, desktop: Device) -> None:
    """The documents keep their ids, and no bytes change hands."""
    conflict = await broken_off(laptop, desktop)
    before = {entry.id: entry.sha256 for entry in laptop.entries()}
    (laptop.root / "p").rename(laptop.root / "q")

    report = await sync(laptop)

    assert report.counts == {"update": 2}
    assert (report.bytes_up, report.bytes_down) == (0, 0)
    assert {entry.id: entry.sha256 for entry in laptop.entries()} == before
    (found,) = report.conflicts
    copy = conflict.copy_path.replace("p/", "q/")
    assert (found.id, found.path, found.copy_path) == (conflict.id, "q/a.txt", copy)
    assert texts(laptop) == {"q/a.txt": "theirs", copy: "mine"}
    await sync(desktop)
    assert texts(desktop) == texts(laptop)


async def test_a_decision_about_a_renamed_folder_waits_for_a_sync(
    laptop: Device, desktop: Device
) -> None:
    conflict = await broken_off(laptop, desktop)
    (laptop.root / "p").rename(laptop.root / "q")
    async with laptop.seen() as mirror:
        with pytest.raises(SyncError, match="is not there any more"):
            mirror.resolve(conflict.copy_path, "mine")
    await sync(laptop)
    async with laptop.opened() as mirror:
        mirror.resolve("q/a.txt", "mine")
        await mirror.sync()
    await sync(desktop)
    assert texts(desktop) == texts(laptop) == {"q/a.txt": "mine"}


async def test_the_folder_may_not_be_written_to(
    laptop: Device, desktop: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    conflict = await broken_off(laptop, desktop)
    with monkeypatch.context() as patch:
        patch.setattr(durable, "exchange", refuse)
        write(laptop, "new", "new")
        report = await sync(laptop)
    assert [(failure.path, failure.why) for failure in report.failures] == [("p/a.txt", "denied")]
    assert report.counts == {"create": 1}
    await sync(desktop)
    expected = {"p/a.txt": "theirs", conflict.copy_path: "mine", "new": "new"}
    assert texts(desktop) == expected

    report = await sync(laptop)

    assert (report.failures, texts(laptop)) == ([], expected)
    await sync(desktop)
    assert texts(desktop) == expected


def refuse(_one: Path, _other: Path) -> bool:
    raise PermissionError(13, "denied")
