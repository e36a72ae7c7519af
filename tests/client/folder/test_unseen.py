"""What the scan cannot see is a problem that is told: "in step" would not be true of it."""

import os
from typing import BinaryIO

import pytest

from fixtures.mirrors import texts, write
from simulation.device import Device
from syncapi.client.folder.observe import scanner
from syncapi.client.folder.reports import MirrorReport


async def sync(device: Device) -> MirrorReport:
    async with device.opened() as mirror:
        return await mirror.sync()


def told(report: MirrorReport) -> dict[str, str]:
    """Why what is left alone is left alone, by path."""
    assert {problem.code for problem in report.problems} <= {"unknown_place"}
    return {problem.path: problem.detail for problem in report.problems}


async def test_what_cannot_be_read_is_told(
    laptop: Device, desktop: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(laptop, "edited", "first")
    await sync(laptop)
    write(laptop, "edited", "second")
    write(laptop, "new", "new")
    real = os.open
    closed = {os.fspath(laptop.root / name) for name in ("edited", "new")}

    def refuse(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if path in closed:
            raise PermissionError(13, "Permission denied", path)
        return real(path, flags, mode, dir_fd=dir_fd)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refuse)
        report = await sync(laptop)
    why = "Permission denied. Make it readable, or name it in .syncignore."
    assert told(report) == {"edited": why, "new": why}
    assert report.done == []
    async with laptop.opened() as mirror:
        entry = mirror.find("edited")
    assert entry is not None
    assert [problem.id for problem in report.problems] == [entry.id, None]
    assert told(await sync(laptop)) == {}
    await sync(desktop)
    assert texts(desktop) == {"edited": "second", "new": "new"}


async def test_a_place_that_cannot_be_read_and_has_a_new_document_there_is_told_once(
    laptop: Device, desktop: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(desktop, "new", "theirs")
    await sync(desktop)
    (document,) = (entry.id for entry in desktop.entries())
    write(laptop, "new", "mine")
    real = os.open

    def refuse(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if path == os.fspath(laptop.root / "new"):
            raise PermissionError(13, "Permission denied", path)
        return real(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", refuse)
    (problem,) = (await sync(laptop)).problems
    assert (problem.path, problem.id) == ("new", document)
    assert problem.detail.startswith("Permission denied")


async def test_a_file_that_is_always_written_to_is_told(
    laptop: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(laptop, "log", "first")
    await sync(laptop)
    write(laptop, "log", "edited")
    real = scanner.hashes

    def write_meanwhile(stream: BinaryIO) -> tuple[str, str]:
        hashed = real(stream)
        with (laptop.root / "log").open("a") as log:
            log.write("x")
        return hashed

    monkeypatch.setattr(scanner.scan, "__kwdefaults__", {"hash_of": write_meanwhile})
    assert told(await sync(laptop)) == {
        "log": "It was written to while it was read. The next sync looks at it again."
    }


async def test_a_link_that_hides_a_document_is_told(laptop: Device, desktop: Device) -> None:
    for name in ("a", "d/b", "pipe"):
        write(laptop, name, name)
    await sync(laptop)
    (laptop.root / "a").unlink()
    (laptop.root / "a").symlink_to("/etc/hostname")
    (laptop.root / "d/b").unlink()
    (laptop.root / "d").rmdir()
    (laptop.root / "d").symlink_to("/etc")
    (laptop.root / "pipe").unlink()
    os.mkfifo(laptop.root / "pipe")
    (laptop.root / "hides nothing").symlink_to("/etc/hostname")
    report = await sync(laptop)
    assert told(report).keys() == {"a", "d", "pipe"}
    assert report.done == []
    await sync(desktop)
    assert texts(desktop) == {name: name for name in ("a", "d/b", "pipe")}
