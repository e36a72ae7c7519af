"""A backup is put back over a folder, and what it brings collides with what others did meanwhile.

The plan may take its files for something that is not pushed, such as one side of a conflict. What
it lacks is not deleted without a question all the same.
"""

from collections.abc import Awaitable, Callable

import pytest

from fixtures.mirrors import texts, write
from simulation.device import Device
from syncapi.client.errors import SafetyStop
from syncapi.client.folder.rules import Direction

Others = Callable[[Device], Awaitable[None]]


async def sync(device: Device, direction: Direction = "both") -> None:
    async with device.opened() as mirror:
        await mirror.sync(direction=direction)


async def write_and_sync(device: Device, files: dict[str, str]) -> None:
    for path, text in files.items():
        write(device, path, text)
    await sync(device)


async def renamed_and_edited(device: Device) -> None:
    """The work is in `y`, which was `x` when the backup was made."""
    (device.root / "x").rename(device.root / "y")
    await sync(device)
    await write_and_sync(device, {"y": "much work"})


def put_back(device: Device) -> None:
    (device.root / "y").unlink()
    (device.root / "copy").unlink(missing_ok=True)
    write(device, "x", "old")


async def expect_question(device: Device, other: Device, direction: Direction) -> None:
    with pytest.raises(SafetyStop, match=r"^1 files .* of what was in step are missing"):
        await sync(device, direction)
    await sync(other)
    assert texts(other)["y"] == "much work"


async def rename_the_copy(other: Device) -> None:
    (other.root / "copy").rename(other.root / "a copy")
    await sync(other)


async def write_a_new_document(other: Device) -> None:
    await write_and_sync(other, {"x": "another"})


@pytest.mark.parametrize("direction", ["both", "push"])
@pytest.mark.parametrize(
    ("others", "copies"), [(rename_the_copy, {"copy": "old"}), (write_a_new_document, {})]
)
async def test_the_old_name_came_back(
    others: Others,
    copies: dict[str, str],
    direction: Direction,
    laptop: Device,
    desktop: Device,
) -> None:
    await write_and_sync(laptop, {"x": "old", "kept": "kept", **copies})
    await renamed_and_edited(laptop)
    await sync(desktop)
    await others(desktop)

    put_back(laptop)

    await expect_question(laptop, desktop, direction)


@pytest.mark.parametrize("direction", ["both", "push"])
async def test_others_have_edited_the_document_that_has_the_old_name_by_now(
    direction: Direction, laptop: Device, desktop: Device
) -> None:
    await write_and_sync(laptop, {"x": "old", "kept": "kept"})
    await renamed_and_edited(laptop)
    await write_and_sync(laptop, {"x": "another"})
    await sync(desktop)
    await write_and_sync(desktop, {"x": "another, edited"})

    put_back(laptop)

    await expect_question(laptop, desktop, direction)


async def test_the_document_that_has_the_old_name_was_renamed_by_others(
    laptop: Device, desktop: Device
) -> None:
    """Its edit, as it seems, is of a file that still lies at the old name."""
    await write_and_sync(laptop, {"x": "old", "kept": "kept"})
    await renamed_and_edited(laptop)
    await write_and_sync(laptop, {"x": "another"})
    await sync(desktop)
    (desktop.root / "x").rename(desktop.root / "z")
    await sync(desktop)

    put_back(laptop)

    await expect_question(laptop, desktop, "both")
    async with laptop.opened() as mirror:
        await mirror.sync(went_back="theirs")
    await sync(desktop)
    for device in (laptop, desktop):
        assert texts(device) == {"y": "much work", "z": "another", "kept": "kept"}
