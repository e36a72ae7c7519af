"""Others delete the document of an open conflict, and make another one of its name."""

from typing import Literal

import pytest

from fixtures.mirrors import texts, write
from simulation.device import Device
from syncapi.client.errors import SyncError
from syncapi.client.folder.reports import FolderConflict


async def write_and_sync(device: Device, text: str) -> None:
    write(device, "a", text)
    await device.sync_calmly()


async def delete_and_sync(device: Device) -> None:
    (device.root / "a").unlink()
    await device.sync_calmly()


@pytest.fixture
async def conflict(laptop: Device, desktop: Device) -> FolderConflict:
    """Its document is deleted."""
    await write_and_sync(laptop, "was")
    await desktop.sync_calmly()
    await write_and_sync(desktop, "theirs")
    await write_and_sync(laptop, "mine")
    await desktop.sync_calmly()
    await delete_and_sync(desktop)
    await laptop.sync_calmly()
    (found,) = await laptop.conflicts()
    return found


async def test_mine_takes_the_name_if_it_is_free(
    conflict: FolderConflict, laptop: Device, desktop: Device
) -> None:
    async with laptop.opened() as mirror:
        mirror.resolve(conflict.copy_path, "mine")
        await mirror.sync()
    await desktop.sync_calmly()
    assert texts(laptop) == texts(desktop) == {"a": "mine"}


async def test_mine_replaces_no_other_document(
    conflict: FolderConflict, laptop: Device, desktop: Device
) -> None:
    await write_and_sync(desktop, "quite another")
    await laptop.sync_calmly()
    expected = {"a": "quite another", conflict.copy_path: "mine"}
    async with laptop.opened() as mirror:
        with pytest.raises(SyncError, match="The document of a was deleted") as refusal:
            mirror.resolve(conflict.copy_path, "mine")
    assert refusal.value.hint
    assert texts(laptop) == expected

    (laptop.root / "a").rename(laptop.root / "b")
    await laptop.sync_calmly()
    async with laptop.opened() as mirror:
        mirror.resolve(conflict.copy_path, "mine")
        await mirror.sync()

    await desktop.sync_calmly()
    assert texts(laptop) == texts(desktop) == {"a": "mine", "b": "quite another"}


@pytest.mark.parametrize("keep", ["theirs", "both"])
async def test_the_other_answers_leave_it_as_it_is(
    keep: Literal["theirs", "both"], conflict: FolderConflict, laptop: Device, desktop: Device
) -> None:
    await write_and_sync(desktop, "quite another")
    await laptop.sync_calmly()
    async with laptop.opened() as mirror:
        mirror.resolve(conflict.copy_path, keep)
        await mirror.sync()
    await desktop.sync_calmly()
    copies = {conflict.copy_path: "mine"} if keep == "both" else {}
    assert texts(laptop) == texts(desktop) == {"a": "quite another", **copies}


async def test_mine_replaces_no_new_file(
    conflict: FolderConflict, laptop: Device, desktop: Device
) -> None:
    """No sync has seen it yet."""
    write(laptop, "a", "quite new")
    async with laptop.opened() as mirror:
        with pytest.raises(SyncError, match="The document of a was deleted"):
            mirror.resolve(conflict.copy_path, "mine")
        await mirror.sync()
    await desktop.sync_calmly()
    assert texts(laptop) == texts(desktop) == {"a": "quite new", conflict.copy_path: "mine"}
