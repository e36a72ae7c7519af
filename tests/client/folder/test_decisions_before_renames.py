"""A conflict is decided, and before the next sync its files are renamed or edited.

The document stays the one that it was, whatever name mine has by now.
"""

import shutil
from uuid import UUID

import pytest

from fixtures.mirrors import texts, write
from simulation.crashes import Crashed, crash_at
from simulation.device import Device
from syncapi.client.folder.reports import FolderConflict


async def write_and_sync(device: Device, text: str) -> None:
    write(device, "p/a.txt", text)
    await device.sync_calmly()


def id_of(device: Device, path: str) -> UUID:
    return next(entry.id for entry in device.entries() if entry.path == path)


@pytest.fixture
async def conflict(laptop: Device, desktop: Device) -> FolderConflict:
    await write_and_sync(laptop, "was")
    await desktop.sync_calmly()
    await write_and_sync(desktop, "theirs")
    await write_and_sync(laptop, "mine")
    (found,) = await laptop.conflicts()
    return found


async def break_off(device: Device, conflict: FolderConflict) -> None:
    """End a decision for mine when the two files have each other's names."""
    async with device.seen() as mirror:
        with pytest.raises(Crashed), crash_at(1, is_after=False, among={"move"}):
            mirror.resolve(conflict.copy_path, "mine")


def save_anew(device: Device, path: str, text: str) -> None:
    """As editors do: a new file takes the name of the old one."""
    new = device.root / "new"
    new.write_text(text)
    new.replace(device.root / path)


async def test_the_folder_is_renamed(
    conflict: FolderConflict, laptop: Device, desktop: Device
) -> None:
    document = id_of(laptop, "p/a.txt")
    async with laptop.opened() as mirror:
        mirror.resolve(conflict.copy_path, "mine")
    (laptop.root / "p").rename(laptop.root / "q")

    await laptop.sync_calmly()

    assert id_of(laptop, "q/a.txt") == document
    await desktop.sync_calmly()
    assert texts(laptop) == texts(desktop) == {"q/a.txt": "mine"}


async def test_theirs_was_deleted_after_a_kill(
    conflict: FolderConflict, laptop: Device, desktop: Device
) -> None:
    """It has the copy's name. Without it the decision is as good as done."""
    document = id_of(laptop, "p/a.txt")
    await break_off(laptop, conflict)
    (laptop.root / conflict.copy_path).unlink()
    (laptop.root / "p").rename(laptop.root / "q")

    await laptop.sync_calmly()

    assert id_of(laptop, "q/a.txt") == document
    assert (await laptop.sync_calmly()).conflicts == []
    await desktop.sync_calmly()
    assert texts(laptop) == texts(desktop) == {"q/a.txt": "mine"}


async def test_a_copy_of_their_folder_is_left_as_it_is(
    conflict: FolderConflict, laptop: Device
) -> None:
    """Editors have saved both files anew, so that only the copies look like them."""
    await break_off(laptop, conflict)
    shutil.copytree(laptop.root / "p", laptop.root / "backup")
    before = {path.name: path.read_text() for path in (laptop.root / "backup").iterdir()}
    for path in ("p/a.txt", conflict.copy_path):
        save_anew(laptop, path, f"{path}, and more")

    await laptop.sync_calmly()

    assert before == {path.name: path.read_text() for path in (laptop.root / "backup").iterdir()}


async def test_a_copy_of_a_renamed_folder_is_not_taken_for_it(
    conflict: FolderConflict, laptop: Device
) -> None:
    document = id_of(laptop, "p/a.txt")
    await break_off(laptop, conflict)
    shutil.copytree(laptop.root / "p", laptop.root / "copied")
    (laptop.root / "p").rename(laptop.root / "q")

    await laptop.sync_calmly()

    assert id_of(laptop, "q/a.txt") == document
    assert texts(laptop)["q/a.txt"] == "theirs"
    assert texts(laptop)[conflict.copy_path.replace("p/", "copied/")] == "theirs"


async def test_what_is_left_after_both_were_replaced_or_deleted_is_listed_no_more(
    conflict: FolderConflict, laptop: Device
) -> None:
    await break_off(laptop, conflict)
    (laptop.root / conflict.copy_path).unlink()
    save_anew(laptop, "p/a.txt", "mine, and more")

    await laptop.sync_calmly()

    assert (await laptop.sync_calmly()).conflicts == []
    assert texts(laptop) == {"p/a.txt": "mine, and more"}
