"""Contents, their digests, and the files that downloads grow in."""

import hashlib
import os
from io import BytesIO
from pathlib import Path

import pytest

from syncapi.client import BytesContent, FileContent, PartFile, digest_of
from syncapi.client.transfer.contents import BLOCK, content_of
from syncapi.client.transfer.sinks import PART_PREFIX


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 7])
def test_a_digest_is_that_of_all_bytes(tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    path = tmp_path / "file"
    path.write_bytes(data)
    digest = digest_of(BytesContent(data))
    assert digest.file_size == size
    assert digest.sha256_hash == hashlib.sha256(data).hexdigest()
    assert digest.md5_hash == hashlib.md5(data, usedforsecurity=False).hexdigest()
    assert digest_of(FileContent(path)) == digest
    with path.open("rb") as stream:
        assert digest_of(stream) == digest


def test_a_stream_is_read_from_where_it_stands() -> None:
    stream = BytesIO(b"head and the rest")
    stream.seek(5)
    assert digest_of(stream) == digest_of(BytesContent(b"and the rest"))


def test_what_callers_may_give(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    given = BytesContent(b"abc")
    assert content_of(given) is given
    assert content_of(b"abc") == given
    assert content_of(path) == FileContent(path)
    assert content_of(path).size == given.size == 3


def test_a_part_grows_and_becomes_the_file(tmp_path: Path) -> None:
    target = tmp_path / "report.pdf"
    part = PartFile.beside(target, "0123")
    assert part.part.parent == tmp_path
    assert part.part.name.startswith(PART_PREFIX)
    assert part.held() == 0
    assert list(part.read_held()) == []
    part.write(b"one ")
    PartFile(part.part).write(b"two")  # another process goes on
    assert part.held() == 7
    assert b"".join(part.read_held()) == b"one two"
    part.finish()
    target.write_bytes(b"old")
    part.place(target)
    assert target.read_bytes() == b"one two"
    assert list(tmp_path.iterdir()) == [target]


def test_a_part_begins_anew_and_goes_without_a_trace(tmp_path: Path) -> None:
    part = PartFile(tmp_path / "part")
    part.write(b"wrong")
    part.restart()
    assert part.held() == 0
    part.write(b"right")
    assert part.part.read_bytes() == b"right"
    part.discard()
    part.discard()
    assert list(tmp_path.iterdir()) == []
    part.finish()
    assert part.part.read_bytes() == b"", "an empty file is a file"


def test_a_part_that_is_taken_away_in_the_middle_is_missed(tmp_path: Path) -> None:
    begun, resumed = PartFile(tmp_path / "begun"), PartFile(tmp_path / "resumed")
    begun.restart()
    resumed.part.write_bytes(b"one ")
    assert list(resumed.read_held()) == [b"one "]
    for part in (begun, resumed):
        part.part.unlink()
        for attempt in (lambda part=part: part.write(b"two"), part.finish):
            with pytest.raises(FileNotFoundError):
                attempt()
    assert list(tmp_path.iterdir()) == []
    begun.restart()
    begun.write(b"anew")
    assert begun.part.read_bytes() == b"anew"


def test_large_parts_are_read_in_blocks(tmp_path: Path) -> None:
    part = PartFile(tmp_path / "part")
    part.write(bytes(2 * BLOCK + 3))
    assert [len(block) for block in part.read_held()] == [BLOCK, BLOCK, 3]


def test_a_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    part = PartFile.beside(tmp_path / "file", "0")
    part.write(b"x")
    plain = tmp_path / "plain"
    plain.touch()
    assert part.part.stat().st_mode == plain.stat().st_mode


def test_a_link_in_the_place_of_a_part_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    part = PartFile.beside(tmp_path / "file", "0")
    part.part.symlink_to(victim)
    for attempt in (lambda: part.write(b"x"), part.restart, lambda: list(part.read_held())):
        with pytest.raises(OSError, match="symbolic links"):
            attempt()
    assert victim.read_bytes() == b"mine"


def test_names_of_parts_stay_within_what_file_systems_take(tmp_path: Path) -> None:
    target = tmp_path / ("n" * 255)
    part = PartFile.beside(target, "k" * 300)
    part.write(b"x")
    part.finish()
    part.place(target)
    assert target.read_bytes() == b"x"


@pytest.mark.parametrize("key", ["../x", "/x", "a/b", "\U0001f600" * 64, "\0", "", "\ud800"])
def test_a_key_that_is_no_plain_name_becomes_no_path(tmp_path: Path, key: str) -> None:
    """Keys are made of what the server says."""
    folder = tmp_path / "in"
    folder.mkdir()
    part = PartFile.beside(folder / "file", key)
    part.write(b"x")
    assert list(folder.iterdir()) == [part.part]
    assert list(tmp_path.iterdir()) == [folder]
    assert part.part != PartFile.beside(folder / "file", f"{key}x").part


def test_bytes_are_on_the_disk_before_they_have_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a power cut may leave the name with nothing behind it."""
    done: list[str] = []
    sync, rename = os.fsync, Path.replace

    def seen_sync(descriptor: int) -> None:
        done.append("sync " + Path(f"/proc/self/fd/{descriptor}").readlink().name)
        sync(descriptor)

    def seen_rename(source: Path, target: Path) -> Path:
        done.append(f"rename {source.name} {target.name}")
        return rename(source, target)

    monkeypatch.setattr(os, "fsync", seen_sync)
    monkeypatch.setattr(Path, "replace", seen_rename)
    part = PartFile.beside(tmp_path / "file", "0")
    part.write(b"x")
    part.finish()
    part.place(tmp_path / "file")
    name = part.part.name
    assert done == [f"sync {name}", f"rename {name} file", f"sync {tmp_path.name}"]
