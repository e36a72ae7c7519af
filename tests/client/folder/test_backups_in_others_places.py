"""A backup puts a file where another document is by now, and lacks the file that it was since.

The older bytes are no edit of that other document, whatever has become of the one that is missing.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias
from uuid import UUID

import pytest

from fixtures.failovers import Failover
from fixtures.mirrors import texts, write
from simulation.device import Device
from syncapi.client.errors import SafetyStop
from syncapi.client.folder.apply.download_writer import DownloadWriter, Fetched
from syncapi.client.folder.apply.sync_pass import SyncPass
from syncapi.client.folder.observe.observer import Keep
from syncapi.client.folder.plan.actions import Download
from syncapi.client.folder.reports import MirrorReport
from syncapi.client.folder.rules import Direction
from syncapi.protocol.documents import DocumentChanges

Others: TypeAlias = Callable[[Device], Awaitable[None]]


async def sync(
    device: Device,
    went_back: Keep | None = None,
    *,
    direction: Direction = "both",
    restore_missing: bool = False,
) -> MirrorReport:
    async with device.opened() as mirror:
        return await mirror.sync(
            went_back=went_back, direction=direction, restore_missing=restore_missing
        )


async def write_and_sync(device: Device, **files: str) -> None:
    for path, text in files.items():
        write(device, path, text)
    await sync(device)


def id_of(device: Device, path: str) -> UUID:
    return next(entry.id for entry in device.entries() if entry.path == path)


async def grow(device: Device, other: Device) -> None:
    """The work was at `a` and is at `work` now; another document is at `a`."""
    await write_and_sync(device, a="old", kept="kept", b="b")
    (device.root / "a").rename(device.root / "work")
    await sync(device)
    await write_and_sync(device, work="much work", a="another")
    await sync(other)


def put_back(device: Device) -> None:
    (device.root / "work").unlink()
    write(device, "a", "old")


async def edit_it(device: Device) -> None:
    await write_and_sync(device, work="much work, and more")


async def rename_it(device: Device) -> None:
    (device.root / "work").rename(device.root / "works")
    await sync(device)


async def delete_it(device: Device) -> None:
    (device.root / "work").unlink()
    await sync(device)


async def move_it_out_of_sight(device: Device) -> None:
    """To where the other one ignores it."""
    async with device._client() as client:
        changes = DocumentChanges(folder="ignored")
        await client.change_document(id_of(device, "work"), changes)


WHAT_OTHERS_DO = (edit_it, rename_it, delete_it, move_it_out_of_sight)


@pytest.mark.parametrize("others", WHAT_OTHERS_DO)
async def test_it_is_asked_about(others: Others, laptop: Device, desktop: Device) -> None:
    write(laptop, ".syncignore", "ignored/\n")
    await grow(laptop, desktop)
    await others(desktop)
    put_back(laptop)

    (conflict,) = (await sync(laptop)).conflicts

    assert texts(laptop)["a"] == "another"
    assert texts(laptop)[conflict.copy_path] == "old"
    await sync(desktop)
    assert texts(desktop)["a"] == "another"


@pytest.mark.parametrize("direction", ["both", "push"])
@pytest.mark.parametrize("others", [edit_it, rename_it, delete_it])
async def test_nothing_is_deleted_beside_it(
    direction: Direction, others: Others, laptop: Device, desktop: Device
) -> None:
    await grow(laptop, desktop)
    await others(desktop)
    put_back(laptop)
    (laptop.root / "b").unlink()

    with pytest.raises(SafetyStop, match=r"^1 files .* 1 of what was in step are missing"):
        await sync(laptop, direction=direction)

    await sync(laptop, "theirs")
    await sync(desktop)
    for device in (laptop, desktop):
        assert (texts(device)["a"], texts(device)["b"]) == ("another", "b")


async def test_the_missing_one_is_fetched_again(laptop: Device, desktop: Device) -> None:
    await grow(laptop, desktop)
    put_back(laptop)

    (conflict,) = (await sync(laptop, restore_missing=True)).conflicts

    await sync(desktop)
    for device in (laptop, desktop):
        assert texts(device) == {
            "a": "another",
            "b": "b",
            "kept": "kept",
            "work": "much work",
            conflict.copy_path: "old",
        }


async def test_the_answer_is_theirs_where_others_have_deleted_it(
    laptop: Device, desktop: Device
) -> None:
    await grow(laptop, desktop)
    await delete_it(desktop)
    put_back(laptop)

    await sync(laptop, "theirs")

    await sync(desktop)
    assert texts(laptop) == texts(desktop) == {"a": "another", "b": "b", "kept": "kept"}


async def test_a_decision_for_it_holds_while_the_missing_one_cannot_be_fetched(
    laptop: Device, desktop: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch = DownloadWriter.fetch

    async def refuse(writer: DownloadWriter, action: Download, current: SyncPass) -> Fetched:
        if action.path == "work":
            raise PermissionError(13, "denied")
        return await fetch(writer, action, current)

    await grow(laptop, desktop)
    put_back(laptop)
    monkeypatch.setattr(DownloadWriter, "fetch", refuse)
    await sync(laptop, "theirs")
    write(laptop, "a", "old")
    (conflict,) = (await sync(laptop)).conflicts

    async with laptop.opened() as mirror:
        mirror.resolve(conflict.copy_path, "mine")
        assert (await mirror.sync()).conflicts == []

    assert texts(laptop)["a"] == "old"


class TestAfterALoss:
    """The server has lost the newest version of the missing one."""

    @pytest.fixture
    def laptop(self, failover: Failover, tmp_path: Path) -> Device:
        return failover.device("laptop", tmp_path)

    @pytest.fixture
    def desktop(self, failover: Failover, tmp_path: Path) -> Device:
        return failover.device("desktop", tmp_path)

    @pytest.fixture
    async def devices(
        self, failover: Failover, laptop: Device, desktop: Device
    ) -> tuple[Device, Device]:
        await write_and_sync(laptop, y="y old")
        await write_and_sync(laptop, y="y new")
        await grow(laptop, desktop)
        failover.fork()
        await write_and_sync(laptop, work="even more work")
        failover.take_over(laptop, desktop)
        put_back(laptop)
        return laptop, desktop

    async def test_it_is_asked_about(self, devices: tuple[Device, Device]) -> None:
        laptop, desktop = devices
        assert len((await sync(laptop)).conflicts) == 1
        await sync(desktop)
        assert texts(desktop)["a"] == texts(laptop)["a"] == "another"

    async def test_nothing_is_deleted_beside_it(self, devices: tuple[Device, Device]) -> None:
        laptop, desktop = devices
        (laptop.root / "b").unlink()
        with pytest.raises(SafetyStop):
            await sync(laptop)
        await sync(desktop)
        assert texts(desktop)["b"] == "b"

    async def test_the_answer_is_theirs(self, devices: tuple[Device, Device]) -> None:
        laptop, desktop = devices
        write(laptop, "y", "y old")
        (laptop.root / "b").unlink()
        with pytest.raises(SafetyStop):
            await sync(laptop)
        await sync(laptop, "theirs")
        await sync(desktop)
        assert (texts(desktop)["a"], texts(desktop)["y"]) == ("another", "y new")
