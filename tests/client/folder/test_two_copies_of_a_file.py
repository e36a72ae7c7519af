"""A file has two open conflicts, and a decision about the first copy was broken off."""

import pytest

from fixtures.mirrors import texts, write
from simulation.crashes import Crashed, crash_at
from simulation.device import Device
from syncapi.client.folder.reports import FolderConflict


async def write_and_sync(device: Device, path: str, text: str) -> None:
    write(device, path, text)
    await device.sync_calmly()


async def break_off(device: Device, conflict: FolderConflict) -> None:
    """End a decision for mine when the two files have each other's names."""
    async with device.seen() as mirror:
        with pytest.raises(Crashed), crash_at(1, is_after=False, among={"move"}):
            mirror.resolve(conflict.copy_path, "mine")


@pytest.fixture
async def copies(laptop: Device, desktop: Device) -> tuple[FolderConflict, FolderConflict]:
    """Both have edited the file twice. The decision about the first copy is broken off."""
    await write_and_sync(laptop, "a", "was")
    await desktop.sync_calmly()
    for number in (1, 2):
        await write_and_sync(desktop, "a", f"theirs {number}")
        await write_and_sync(laptop, "a", f"mine {number}")
        await desktop.sync_calmly()
    first, second = sorted(await laptop.conflicts(), key=lambda conflict: conflict.seen_at)
    await break_off(laptop, first)
    return first, second


async def test_the_second_one_is_decided(
    copies: tuple[FolderConflict, FolderConflict], laptop: Device, desktop: Device
) -> None:
    first, second = copies
    async with laptop.opened() as mirror:
        mirror.resolve(second.copy_path, "mine")
        (left,) = (await mirror.sync()).conflicts
    assert left.copy_path == first.copy_path

    await desktop.sync_calmly()

    assert texts(laptop) == texts(desktop) == {"a": "mine 2", first.copy_path: "mine 1"}


async def test_the_second_decision_is_broken_off_too(
    copies: tuple[FolderConflict, FolderConflict], laptop: Device, desktop: Device
) -> None:
    first, second = copies
    before = {entry.id: entry.sha256 for entry in laptop.entries()}
    await break_off(laptop, second)

    await laptop.sync_calmly()

    await desktop.sync_calmly()
    assert {entry.id: entry.sha256 for entry in laptop.entries()} == before
    expected = {"a": "theirs 2", first.copy_path: "mine 1", second.copy_path: "mine 2"}
    assert texts(laptop) == texts(desktop) == expected
