"""The scan of a real folder."""

import mmap
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import pytest

from syncapi.client.folder.model import LocalFile, Scan
from syncapi.client.folder.observe.scanner import hashes, scan, seen

HOUR_NS = 3600 * 10**9


def nothing_ignored(_path: str, _is_folder: bool) -> str | None:
    return None


class Hasher:
    """Counts what it hashes; may let something happen meanwhile."""

    def __init__(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        self.count = 0
        self._meanwhile = meanwhile

    def __call__(self, stream: BinaryIO) -> tuple[str, str]:
        self.count += 1
        found = hashes(stream)
        self._meanwhile()
        return found


def scanned(
    root: Path, known: Mapping[str, LocalFile] | None = None, hasher: Hasher | None = None
) -> Scan:
    return scan(root, known or {}, nothing_ignored, hash_of=hasher or Hasher())


def by_path(found: Scan) -> dict[str, LocalFile]:
    return {file.path: file for file in found.files}


def settled(found: Scan) -> dict[str, LocalFile]:
    """What is known of it an hour later."""
    return {file.path: replace(file, hashed_ns=file.hashed_ns + HOUR_NS) for file in found.files}


def make(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)


def test_files_and_folders_in_order(tmp_path: Path) -> None:
    make(tmp_path, "b", "a/c", "a/b/x")
    (tmp_path / "empty").mkdir()
    found = scanned(tmp_path)
    assert [file.path for file in found.files] == ["a/b/x", "a/c", "b"]
    assert found.folders == ("a", "a/b", "empty")
    file = by_path(found)["b"]
    status = (tmp_path / "b").stat()
    assert (file.size, file.inode, file.mtime_ns) == (1, status.st_ino, status.st_mtime_ns)
    assert file.sha256 == "3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d"
    assert file.md5 == "92eb5ffee6ae2fec3ad71c777531578f"


def test_only_what_has_changed_is_hashed_again(tmp_path: Path) -> None:
    make(tmp_path, "a", "b", "c")
    known = settled(scanned(tmp_path))
    (tmp_path / "b").write_text("B")
    os.utime(tmp_path / "b", ns=(known["b"].mtime_ns, known["b"].mtime_ns))  # its time is no proof
    hasher = Hasher()
    found = by_path(scanned(tmp_path, known, hasher))
    assert hasher.count == 1
    assert found["a"] is known["a"]
    assert found["b"].sha256 != known["b"].sha256


def test_a_file_hashed_right_after_it_was_written_is_hashed_again(tmp_path: Path) -> None:
    make(tmp_path, "a")
    hasher = Hasher()
    scanned(tmp_path, by_path(scanned(tmp_path)), hasher)
    assert hasher.count == 1


def test_a_scan_that_is_repeated_reads_no_file_again(tmp_path: Path) -> None:
    """Though it was written just now; the next scan does."""
    make(tmp_path, "large", "z/other")
    folders = (tmp_path / "z" / name for name in "abcdef")

    def change() -> None:
        next(folders).mkdir()

    changes = Hasher(change)
    known = by_path(scanned(tmp_path, hasher=changes))
    assert changes.count == 2
    hasher = Hasher()
    scanned(tmp_path, known, hasher)
    assert hasher.count == 2


def test_a_time_in_the_future_is_no_reason_to_hash_for_ever(tmp_path: Path) -> None:
    make(tmp_path, "a")
    moment = time.time_ns() + 9000 * HOUR_NS
    os.utime(tmp_path / "a", ns=(moment, moment))
    hasher = Hasher()
    scanned(tmp_path, by_path(scanned(tmp_path)), hasher)
    assert hasher.count == 1  # it was given that time just now
    scanned(tmp_path, settled(scanned(tmp_path)), hasher)
    assert hasher.count == 1
    known = settled(scanned(tmp_path))
    (tmp_path / "a").write_text("b")
    os.utime(tmp_path / "a", ns=(moment, moment))
    scanned(tmp_path, known, hasher)
    assert hasher.count == 2


LONG_AGO = 10**18


def _placed(root: Path, moment: int) -> LocalFile:
    """A file as a download leaves it: written just now, with the time of the version."""
    make(root, "a")
    os.utime(root / "a", ns=(moment, moment))
    sha256, md5 = hashes(BytesIO(b"a"))
    return seen(root / "a", "a", sha256, md5, written_ns=moment)


def test_a_file_that_was_placed_is_not_hashed(tmp_path: Path) -> None:
    placed = _placed(tmp_path, LONG_AGO)
    hasher = Hasher()
    assert scanned(tmp_path, {"a": placed}, hasher).files == (placed,)
    assert hasher.count == 0


@pytest.mark.parametrize("moment", [LONG_AGO, time.time_ns()], ids=["long ago", "now"])
def test_what_is_written_to_a_placed_file_is_seen(tmp_path: Path, moment: int) -> None:
    placed = _placed(tmp_path, moment)
    (tmp_path / "a").write_text("b")
    (found,) = scanned(tmp_path, {"a": placed}).files
    assert (found.size, found.sha256) == (1, hashes(BytesIO(b"b"))[0])


@pytest.mark.parametrize("written_ns", [None, LONG_AGO + 1])
def test_a_file_that_has_another_time_than_was_given_is_hashed(
    tmp_path: Path, written_ns: int | None
) -> None:
    """Somebody may have written to it since; and one that is young, in the same moment."""
    _placed(tmp_path, LONG_AGO)
    sha256, md5 = hashes(BytesIO(b"a"))
    known = seen(tmp_path / "a", "a", sha256, md5, written_ns=written_ns)
    young = _placed(tmp_path / "young", time.time_ns())
    hasher = Hasher()
    scanned(tmp_path, {"a": known, "young/a": replace(young, path="young/a")}, hasher)
    assert hasher.count == 2


def test_a_file_that_is_written_to_meanwhile_is_busy(tmp_path: Path) -> None:
    make(tmp_path, "a")
    write = Hasher(lambda: (tmp_path / "a").write_text("more and more"))
    found = scanned(tmp_path, hasher=write)
    assert not found.files
    assert [(s.path, s.kind) for s in found.skipped] == [("a", "busy")]
    assert found.unknown == ("a",)


def test_a_file_that_moves_to_where_the_scan_has_been_is_found(tmp_path: Path) -> None:
    make(tmp_path, "a/file", "z/file")
    read: list[str] = []

    def noting(path: str, is_folder: bool) -> str | None:
        if not is_folder:
            read.append(path.split("/", maxsplit=1)[0])
        return None

    def move() -> None:
        """From the folder that is read last into the one that is read first, once."""
        last = {"a": "z", "z": "a"}[read[0]]
        if (tmp_path / last / "file").exists():
            (tmp_path / last / "file").rename(tmp_path / read[0] / "moved")

    found = scan(tmp_path, {}, noting, hash_of=Hasher(move))
    assert {file.path for file in found.files} == {f"{read[0]}/file", f"{read[0]}/moved"}


def test_links_and_pipes_are_told_and_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    make(outside, "secret")
    root = tmp_path / "root"
    make(root, "a")
    (root / "link").symlink_to(outside)
    (root / "file").symlink_to(outside / "secret")
    os.mkfifo(root / "pipe")
    found = scanned(root)
    assert [file.path for file in found.files] == ["a"]
    assert {skipped.path: skipped.kind for skipped in found.skipped} == {
        "link": "symlink", "file": "symlink", "pipe": "special",
    }  # fmt: skip
    assert set(found.unknown) == {"link", "file", "pipe"}


def test_a_name_that_is_no_text_is_told(tmp_path: Path) -> None:
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))).touch()
    found = scanned(tmp_path)
    assert [skipped.kind for skipped in found.skipped] == ["undecodable"]


def test_a_folder_that_cannot_be_read_is_unknown(tmp_path: Path) -> None:
    make(tmp_path, "a")
    opened = [os.open(tmp_path, os.O_RDONLY)]
    names = ["d" * 250] * 17  # longer than the system takes a path for
    for name in names:
        os.mkdir(name, dir_fd=opened[-1])
        opened.append(os.open(name, os.O_RDONLY, dir_fd=opened[-1]))
    for descriptor in opened:
        os.close(descriptor)
    found = scanned(tmp_path)
    assert [file.path for file in found.files] == ["a"]
    (skipped,) = found.skipped
    assert skipped.kind == "unreadable"
    assert "/".join(names).startswith(skipped.path)
    assert skipped.path not in found.folders


def test_what_fails_to_be_read_is_unknown(tmp_path: Path) -> None:
    make(tmp_path, "a", "b")

    def fails(stream: BinaryIO) -> tuple[str, str]:
        found = hashes(stream)
        if found == hashes(BytesIO(b"a")):
            raise OSError(5, "Input/output error")
        return found

    found = scan(tmp_path, {}, nothing_ignored, hash_of=fails)
    assert [file.path for file in found.files] == ["b"]
    assert [(s.path, s.kind, s.why) for s in found.skipped] == [
        ("a", "unreadable", "Input/output error")
    ]


def test_a_root_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        scanned(tmp_path / "missing")


def test_an_inode_that_is_given_away_is_told_by_its_birth(tmp_path: Path) -> None:
    make(tmp_path, "a")
    before = by_path(scanned(tmp_path))["a"]
    if before.birth_ns is None:
        pytest.skip("this file system does not tell the time of birth")
    assert abs(before.birth_ns - time.time_ns()) < HOUR_NS
    (tmp_path / "a").rename(tmp_path / "b")
    (tmp_path / "b").write_text("edited")
    after = by_path(scanned(tmp_path))["b"]
    assert (after.inode, after.birth_ns) == (before.inode, before.birth_ns)
    (tmp_path / "b").unlink()
    make(tmp_path, "c")
    new = by_path(scanned(tmp_path))["c"]
    assert (new.inode, new.birth_ns) != (before.inode, before.birth_ns)


def test_a_write_by_mmap_that_gets_no_new_time_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that is dirty already is written to again after the file was hashed."""
    (tmp_path / "a").write_bytes(b"0" * 4096)
    with (tmp_path / "a").open("r+b") as stream, mmap.mmap(stream.fileno(), 0) as mapped:
        mapped[0:1] = b"1"
        later = time.time_ns() + 30 * 10**9
        with monkeypatch.context() as patched:
            patched.setattr(time, "time_ns", lambda: later)
            known = by_path(scanned(tmp_path))
        before = (tmp_path / "a").stat()
        mapped[0:1] = b"2"
        after = (tmp_path / "a").stat()
        found = by_path(scanned(tmp_path, known))["a"]
        assert found.sha256 == hashes(BytesIO(b"2" + b"0" * 4095))[0]
        if (before.st_mtime_ns, before.st_ctime_ns) != (after.st_mtime_ns, after.st_ctime_ns):
            pytest.skip("the system wrote the page back meanwhile, and so gave it a new time")


class TestChurn:
    """Folders change all the time, so that none of the scans is whole."""

    @pytest.fixture
    def first(self, tmp_path: Path) -> str:
        """The folder that is read first, with all below it, before the other."""
        make(tmp_path, "a/sub/here", "z/sub/here")
        read: list[str] = []
        scan(tmp_path, {}, lambda path, _: read.append(path))
        return next(path for path in read if "/" in path).split("/")[0]

    def scanned(self, root: Path, first: str, source: str, target: str) -> Scan:
        """Scan; in the middle of the last try a file moves between the two folders."""
        make(root, source)
        known = by_path(scanned(root))
        tries: list[str] = []

        def churning(path: str, _is_folder: bool) -> str | None:
            if path == f"{first}/sub/here":
                tries.append(path)
                (root / f"{len(tries)}.tmp").touch()
                if len(tries) == 3:
                    (root / source).rename(root / target)
            return None

        return scan(root, known, churning)

    def test_a_file_that_is_seen_nowhere_is_not_gone(self, tmp_path: Path, first: str) -> None:
        second = {"a": "z", "z": "a"}[first]
        found = self.scanned(tmp_path, first, f"{second}/moving", f"{first}/moved")
        assert not [path for path in by_path(found) if "mov" in path]
        assert f"{second}/moving" in found.unknown

    def test_a_file_that_is_seen_twice_is_no_copy(self, tmp_path: Path, first: str) -> None:
        second = {"a": "z", "z": "a"}[first]
        found = self.scanned(tmp_path, first, f"{first}/moving", f"{second}/moved")
        assert [path for path in by_path(found) if "mov" in path] == [f"{second}/moved"]

    def test_a_second_name_is_kept(self, tmp_path: Path, first: str) -> None:
        make(tmp_path, f"{first}/one")
        os.link(tmp_path / first / "one", tmp_path / first / "other")
        found = self.scanned(tmp_path, first, f"{first}/moving", f"{first}/moved")
        assert {f"{first}/one", f"{first}/other"} <= by_path(found).keys()
