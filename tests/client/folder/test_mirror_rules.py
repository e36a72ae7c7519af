"""What is ignored is so from the first moment; what is deleted, and what is not."""

import shutil
from pathlib import Path

import pytest

from fixtures.mirrors import write
from simulation.crashes import Crashed, crash_at
from simulation.device import Befalling, Device
from syncapi.client.errors import SyncError
from syncapi.client.folder.disk.disk import Disk, Identity
from syncapi.client.folder.ignore_rules import is_own_part, read_ignores
from syncapi.client.folder.reports import MirrorReport


async def sync(device: Device, *, restore_missing: bool = False) -> MirrorReport:
    async with device.opened() as mirror:
        return await mirror.sync(restore_missing=restore_missing)


@pytest.fixture
async def ruled(laptop: Device) -> Device:
    """A folder whose rules are on the server."""
    write(laptop, ".syncignore", "secret/\n")
    write(laptop, "a.txt", "a")
    await sync(laptop)
    return laptop


async def test_rules_that_arrive_hold_before_anything_is_pushed(
    ruled: Device, desktop: Device
) -> None:
    write(desktop, "secret/.env", "password")
    write(desktop, "b.txt", "b")
    report = await sync(desktop)
    assert report.counts == {"download": 2, "create": 1}
    await sync(ruled)
    assert ruled.tree().keys() == {".syncignore", "a.txt", "b.txt"}


async def test_rules_that_do_not_arrive_hold_everything_back(
    ruled: Device, desktop: Device
) -> None:
    write(desktop, "secret/.env", "password")
    desktop.storage.only, desktop.storage.rate = "refused", 1.0
    report = await sync(desktop)
    assert ([failure.path for failure in report.failures], report.done) == ([".syncignore"], [])
    desktop.storage.rate = 0.0
    assert (await sync(desktop)).counts == {"download": 2}
    assert (await sync(ruled)).done == []


async def test_what_is_ignored_is_not_deleted_while_the_rules_are_away(
    ruled: Device, desktop: Device
) -> None:
    """The rules were taken out of the way by a sync that ended before the new ones had come."""
    write(ruled, "big/1.iso", "1")
    await sync(ruled)
    await sync(desktop)
    write(desktop, ".syncignore", "secret/\nbig/\n")
    shutil.rmtree(desktop.root / "big")  # selected away on the desktop
    await sync(desktop)
    write(ruled, ".syncignore", "secret/\nbig/\nmore/\n")
    (ruled.root / "big/1.iso").unlink()
    write(desktop, ".syncignore", "secret/\nbig/\nother/\n")
    await sync(desktop)
    for moment in range(1, 12):
        await ruled.sync(Befalling(moment))
    await sync(ruled)
    async with desktop.opened() as mirror:
        view = await mirror.look()
    assert "1.iso" in {document.filename for document in view.documents.values()}


async def test_an_interrupted_restore_deletes_nothing(laptop: Device, desktop: Device) -> None:
    for number in range(20):
        write(laptop, f"{number}.txt", f"text {number}")
    await sync(laptop)
    for path in laptop.tree():
        (laptop.root / path).unlink()
    with crash_at(70, is_after=False), pytest.raises(Crashed):
        await sync(laptop, restore_missing=True)
    assert 10 < len(laptop.tree()) < 20  # few enough are missing to pass for deleted
    assert (await sync(laptop)).counts.keys() == {"download"}  # what was placed is known
    await sync(desktop)
    assert len(desktop.tree()) == len(laptop.tree()) == 20


def test_rules_that_are_no_text_are_told(tmp_path: Path) -> None:
    (tmp_path / ".syncignore").write_bytes("größe/".encode("latin-1"))
    with pytest.raises(SyncError, match="it is not UTF-8"):
        read_ignores(tmp_path)


def test_only_what_the_mirror_made_is_its_own() -> None:
    name = f"d/.~syncapi-{'a1' * 32}-7b0c0000-0000-4000-8000-000000000000"
    assert is_own_part(name)
    assert not is_own_part("d/.~syncapi-notes.txt")
    assert not is_own_part("d/.~syncapi-")


async def test_a_file_whose_name_is_a_folder_s_now_is_deleted(
    laptop: Device, desktop: Device
) -> None:
    """And one in a folder whose name is a file's now."""
    for path in ("a", "b/in it", "kept"):
        write(laptop, path, path)
    await sync(laptop)
    await sync(desktop)
    (laptop.root / "a").unlink()
    (laptop.root / "a").mkdir()
    shutil.rmtree(laptop.root / "b")
    write(laptop, "b", "a file by now")
    assert (await sync(laptop)).counts == {"create": 1, "delete": 2}
    await sync(desktop)
    assert desktop.tree() == laptop.tree()
    assert desktop.tree().keys() == {"b", "kept"}


async def test_a_file_that_comes_back_at_the_last_moment_is_not_deleted(
    laptop: Device, desktop: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(laptop, "a", "a")
    write(laptop, "kept", "kept")
    await sync(laptop)
    (laptop.root / "a").unlink()
    expect = Disk.expect_no_file

    def restored(disk: Disk, path: str) -> None:
        write(laptop, "a", "a")
        expect(disk, path)

    with monkeypatch.context() as patched:
        patched.setattr(Disk, "expect_no_file", restored)
        assert (await sync(laptop)).counts == {}
    await sync(desktop)
    assert desktop.tree().keys() == {"a", "kept"}


async def test_who_changes_files_faster_than_they_are_synced_is_told(
    laptop: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(laptop, "a", "a")
    numbers = iter(range(100))
    expect = Disk.expect

    def edited(disk: Disk, path: str, identity: Identity | None) -> Path:
        write(laptop, "a", f"edit {next(numbers)}")
        return expect(disk, path, identity)

    with monkeypatch.context() as patched:
        patched.setattr(Disk, "expect", edited)
        report = await sync(laptop)
    assert (report.counts, report.left, report.failures) == ({}, 1, [])
    report = await sync(laptop)
    assert (report.counts, report.left) == ({"create": 1}, 0)
