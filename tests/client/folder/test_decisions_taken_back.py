"""A sync gives the files of a broken-off decision their own names back, wherever they are.

Where it cannot, it pushes neither of them in place of the other.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from uuid import UUID

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


async def broken_off(
    device: Device, other: Device, *, is_copy_pushed: bool = True
) -> FolderConflict:
    """A conflict in the folder `p`, whose files have each other's names."""
    await write_and_sync(device, "p/a.txt", "was")
    await sync(other)
    await write_and_sync(other, "p/a.txt", "theirs")
    write(device, "p/a.txt", "mine")
    with nullcontext() if is_copy_pushed else refused_pushes(device):
        await device.sync()
    (conflict,) = await device.conflicts()
    assert (conflict.copy_id is not None) is is_copy_pushed
    async with device.seen() as mirror:
        with pytest.raises(Crashed), crash_at(1, is_after=False, among={"move"}):
            mirror.resolve(conflict.copy_path, "mine")
    assert (device.root / "p/a.txt").read_text() == "mine"
    return conflict


@contextmanager
def refused_pushes(device: Device) -> Iterator[None]:
    api = device.api
    api.rate, api.only, api.pushes_only = 1.0, "refused", True
    yield
    api.rate, api.only, api.pushes_only = 0.0, None, False


def ids_of(device: Device) -> dict[str, UUID]:
    return {entry.path: entry.id for entry in device.entries()}


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


@pytest.mark.parametrize("is_copy_pushed", [True, False], ids=["pushed", "not pushed"])
async def test_copies_are_ignored_in_a_folder_that_was_renamed(
    is_copy_pushed: bool, laptop: Device, desktop: Device
) -> None:
    if is_copy_pushed:
        conflict = await broken_off(laptop, desktop)
        write(laptop, ".syncignore", "*(conflict *\n")
    else:
        write(laptop, ".syncignore", "*(conflict *\n")
        conflict = await broken_off(laptop, desktop, is_copy_pushed=False)
    before = ids_of(laptop)
    (laptop.root / "p").rename(laptop.root / "q")

    report = await sync(laptop)

    assert "delete" not in report.counts
    assert ids_of(laptop)["q/a.txt"] == before["p/a.txt"]
    copy = conflict.copy_path.replace("p/", "q/")
    here = texts(laptop)
    assert (here["q/a.txt"], here[copy]) == ("theirs", "mine")
    await sync(desktop)
    assert texts(desktop)["q/a.txt"] == "theirs"
    if not is_copy_pushed:
        assert [found.copy_path for found in await laptop.conflicts()] == [copy]


@pytest.mark.parametrize("first", ["nothing", "a dry run", "a sync without the right to rename"])
async def test_a_copy_that_was_not_pushed_is_in_a_folder_that_was_renamed(
    first: str, laptop: Device, desktop: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    conflict = await broken_off(laptop, desktop, is_copy_pushed=False)
    before = ids_of(laptop)
    (laptop.root / "p").rename(laptop.root / "q")
    if first == "a dry run":
        async with laptop.opened() as mirror:
            await mirror.sync(dry_run=True)
    elif first == "a sync without the right to rename":
        with monkeypatch.context() as patch:
            patch.setattr(durable, "exchange", refuse)
            assert (await sync(laptop)).failures != []

    report = await sync(laptop)

    assert "delete" not in report.counts
    assert ids_of(laptop)["q/a.txt"] == before["p/a.txt"]
    copy = conflict.copy_path.replace("p/", "q/")
    assert [found.copy_path for found in report.conflicts] == [copy]
    await sync(desktop)
    assert texts(laptop) == texts(desktop) == {"q/a.txt": "theirs", copy: "mine"}


@pytest.mark.parametrize("is_copy_pushed", [True, False], ids=["pushed", "not pushed"])
@pytest.mark.parametrize("gone", ["both", "theirs"])
async def test_what_a_person_deleted_is_listed_no_more(
    gone: str, is_copy_pushed: bool, laptop: Device, desktop: Device
) -> None:
    """Theirs has the copy's name. Without it, mine keeps the file's."""
    conflict = await broken_off(laptop, desktop, is_copy_pushed=is_copy_pushed)
    write(laptop, "kept", "kept")
    (laptop.root / conflict.copy_path).unlink()
    if gone == "both":
        (laptop.root / "p/a.txt").unlink()

    await sync(laptop)

    await sync(desktop)
    expected = {"kept": "kept"} if gone == "both" else {"kept": "kept", "p/a.txt": "mine"}
    assert texts(laptop) == texts(desktop) == expected
    assert (await sync(laptop)).conflicts == []


async def test_another_file_has_the_name_in_the_old_folder(
    laptop: Device, desktop: Device
) -> None:
    """It is one more document's; what was in the folder is known in the new one."""
    conflict = await broken_off(laptop, desktop)
    (laptop.root / "p").rename(laptop.root / "q")
    write(laptop, "p/a.txt", "quite another")

    await sync(laptop)

    copy = conflict.copy_path.replace("p/", "q/")
    assert (texts(laptop)["q/a.txt"], texts(laptop)[copy]) == ("theirs", "mine")
    await sync(desktop)
    assert texts(desktop) == texts(laptop)
