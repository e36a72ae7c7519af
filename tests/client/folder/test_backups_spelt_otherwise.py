"""A backup brings a file under an older name that this disk spells in its own way."""

from uuid import UUID

import pytest

from fixtures.mirrors import texts, write
from simulation.device import Device
from syncapi.client.errors import SafetyStop
from syncapi.client.folder.disk.disk import takes_cases_for_one
from syncapi.client.folder.observe.observer import Keep
from syncapi.protocol.documents import DocumentChanges


async def sync(device: Device, went_back: Keep | None = None) -> None:
    async with device.opened() as mirror:
        await mirror.sync(went_back=went_back)


async def write_and_sync(device: Device, path: str, text: str) -> None:
    write(device, path, text)
    await sync(device)


async def rename_and_edit(device: Device, path: str) -> None:
    """The work is in `work`, which had that path when the backup was made."""
    (device.root / path).rename(device.root / "work")
    await sync(device)
    await write_and_sync(device, "work", "much work")


def put_back(device: Device, path: str) -> None:
    (device.root / "work").unlink()
    write(device, path, "old")


async def expect_question(device: Device, other: Device) -> None:
    with pytest.raises(SafetyStop, match=r"^1 files .* 1 of what was in step are missing"):
        await sync(device)
    await sync(device, "theirs")
    await sync(other)
    assert texts(device)["work"] == texts(other)["work"] == "much work"


def _id_of(device: Device, path: str) -> UUID:
    return next(entry.id for entry in device.entries() if entry.path == path)


async def share_a_name(device: Device) -> str:
    """Have two documents of the name `x`, and find the path of the second one."""
    write(device, "kept", "kept")
    write(device, "x", "the first one")
    await write_and_sync(device, "y", "old")
    second = _id_of(device, "y")
    async with device._client() as client:
        await client.change_document(second, DocumentChanges(filename="x"))
    await sync(device)
    (path,) = {path for path in texts(device) if path.startswith("x (")}
    assert _id_of(device, path) == second
    return path


async def test_two_documents_shared_the_name(laptop: Device, desktop: Device) -> None:
    path = await share_a_name(laptop)
    await rename_and_edit(laptop, path)

    put_back(laptop, path)

    await expect_question(laptop, desktop)


async def test_an_edited_document_shares_the_name(laptop: Device, desktop: Device) -> None:
    """What comes back lies at the path that another document of that name has by now."""
    path = await share_a_name(laptop)
    await rename_and_edit(laptop, path)
    await write_and_sync(laptop, path, "another")

    put_back(laptop, path)

    await expect_question(laptop, desktop)
    assert texts(laptop)[path] == "another"


async def test_the_disk_spells_the_folder_otherwise(
    laptop: Device, desktop: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "syncapi.client.folder.observe.observer.takes_cases_for_one",
        lambda root: root == laptop.root or takes_cases_for_one(root),
    )
    await write_and_sync(laptop, "docs/kept", "kept")
    await write_and_sync(desktop, "Docs/x", "old")
    await sync(laptop)
    await rename_and_edit(laptop, "docs/x")

    put_back(laptop, "docs/x")

    await expect_question(laptop, desktop)
