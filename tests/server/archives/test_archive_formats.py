"""The formats themselves, without a service: what is written is what is read back."""

import io
import struct
import tarfile
import zipfile
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import IO, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from syncapi.protocol.archives import ArchiveFormat
from syncapi.server.usecases.archives.archive import WRITERS
from syncapi.server.usecases.archives.archive_format import ArchiveMember, ArchiveWriter
from syncapi.server.usecases.archives.tar import TarWriter
from syncapi.server.usecases.archives.zip import ZipWriter

GB = 1024**3
NOON = datetime(2026, 11, 23, 12, 0, 1, 654321, tzinfo=UTC)

each_format = pytest.mark.parametrize("format_", ["zip", "tar"])
pieces_of_files = st.lists(st.lists(st.binary(max_size=2000), max_size=5), max_size=5)


def written(writer: ArchiveWriter, files: dict[str, list[bytes]]) -> bytes:
    raw = []
    for name, pieces in files.items():
        raw.append(writer.begin(ArchiveMember(name, sum(map(len, pieces)), NOON)))
        raw += [writer.add(piece) for piece in pieces]
        raw.append(writer.end())
    raw.append(writer.finish())
    return b"".join(raw)


def read(format_: ArchiveFormat, raw: bytes) -> dict[str, bytes]:
    if format_ == "zip":
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            return {info.filename: archive.read(info) for info in archive.infolist()}
    with tarfile.open(fileobj=io.BytesIO(raw), mode="r:") as archive:
        return {m.name: cast("IO[bytes]", archive.extractfile(m)).read() for m in archive}


@each_format
@given(pieces_of_files)
def test_what_is_written_is_read(format_: ArchiveFormat, contents: list[list[bytes]]) -> None:
    files = {f"file {number}": pieces for number, pieces in enumerate(contents)}
    with closing(WRITERS[format_]()) as writer:
        raw = written(writer, files)
    assert read(format_, raw) == {name: b"".join(pieces) for name, pieces in files.items()}


@each_format
@pytest.mark.parametrize("name", ["文件" * 42, "é.txt", "x" * 255, "a b (2).tar.gz"])
def test_names_come_through(format_: ArchiveFormat, name: str) -> None:
    assert list(read(format_, written(WRITERS[format_](), {name: [b"x"]}))) == [name]


@each_format
def test_nothing_is_held_back(format_: ArchiveFormat) -> None:
    """However much is written, the writer keeps none of it."""
    with closing(WRITERS[format_]()) as writer:
        writer.begin(ArchiveMember("a", 10**9, NOON))
        for _ in range(5):
            assert 2**20 <= len(writer.add(bytes(2**20))) <= 2**20 + 1000


@each_format
def test_one_that_is_given_up_lets_go(format_: ArchiveFormat) -> None:
    """In the middle of a member; a warning of something left open would be an error."""
    with closing(WRITERS[format_]()) as writer:
        writer.begin(ArchiveMember("a", 100, NOON))
        writer.add(b"ten bytes.")


@pytest.mark.parametrize(
    ("modified", "shown"),
    [
        (NOON, (2026, 11, 23, 12, 0, 0)),
        (NOON + timedelta(seconds=1), (2026, 11, 23, 12, 0, 2)),
        (datetime(1970, 1, 1, tzinfo=UTC), (1980, 1, 1, 0, 0, 0)),
        (datetime(2200, 1, 1, tzinfo=UTC), (2107, 12, 31, 23, 59, 58)),
    ],
)
def test_times_in_zip(modified: datetime, shown: tuple[int, ...]) -> None:
    """UTC to two seconds, for all programs; to the second, for those that know the field "UT"."""
    writer = ZipWriter()
    raw = writer.begin(ArchiveMember("a", 0, modified)) + writer.end() + writer.finish()
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        (info,) = archive.infolist()
    assert info.date_time == shown
    seconds = int(modified.timestamp())
    expected = struct.pack("<HHBi", 0x5455, 5, 1, seconds) if seconds < 2**31 else b""
    assert info.extra == expected
    assert raw[30 + len("a") :].startswith(expected)  # behind the local header too


@pytest.mark.parametrize("modified", [NOON, datetime(2200, 1, 1, 0, 0, 0, 1, tzinfo=UTC)])
def test_times_in_tar(modified: datetime) -> None:
    writer = TarWriter()
    raw = writer.begin(ArchiveMember("a", 0, modified)) + writer.end() + writer.finish()
    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        assert archive.getmember("a").mtime == pytest.approx(modified.timestamp(), abs=1e-6)


@each_format
def test_members_are_plain_files(format_: ArchiveFormat) -> None:
    raw = written(WRITERS[format_](), {"a": [b"x"]})
    if format_ == "zip":
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            assert archive.getinfo("a").external_attr >> 16 == 0o100644
    else:
        with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
            member = archive.getmember("a")
            assert (member.type, member.mode, member.uid) == (tarfile.REGTYPE, 0o644, 0)


def test_a_zip_can_be_read_as_it_comes() -> None:
    """A deflated member tells its own end, to readers that cannot seek too."""
    raw = written(ZipWriter(), {"a": [b"hello"], "b": [b"PK\x07\x08 looks like an end"]})
    flags, method = struct.unpack_from("<HH", raw, 6)
    assert (flags & 8, method) == (8, zipfile.ZIP_DEFLATED)


class Ends(io.RawIOBase):
    """A file of any size, of which the first and the last megabyte are kept."""

    KEPT = 2**20

    def __init__(self) -> None:
        self.size = 0
        self._head = b""
        self._tail = b""
        self._at = 0

    def append(self, piece: bytes) -> None:
        if len(self._head) < self.KEPT:
            self._head += piece[: self.KEPT - len(self._head)]
        self.size += len(piece)
        if len(piece) < self.KEPT:
            piece = (self._tail + piece)[-self.KEPT :]
        self._tail = piece[-self.KEPT :]

    @override
    def seekable(self) -> bool:
        return True

    @override
    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        return self._at

    @override
    def tell(self) -> int:
        return self._at

    @override
    def read(self, size: int = -1) -> bytes:
        start = self._at
        end = self.size if size < 0 else min(self.size, start + size)
        self._at = end
        if end <= len(self._head):
            return self._head[start:end]
        first = self.size - len(self._tail)
        assert start >= first, "what was not kept"
        return self._tail[start - first : end - first]


@pytest.mark.slow
def test_more_than_four_gigabytes_in_zip() -> None:
    """A member of 4.1 GB, and one behind it, by what the central directory tells of them."""
    large, file, piece = 4 * GB + 4096 * 1000, Ends(), bytes(4 * 2**20)
    with closing(ZipWriter()) as writer:
        file.append(writer.begin(ArchiveMember("large", large, NOON)))
        for start in range(0, large, len(piece)):
            file.append(writer.add(piece[: large - start]))
        file.append(writer.end())
        file.append(
            writer.begin(ArchiveMember("small", 5, NOON)) + writer.add(b"small") + writer.end()
        )
        file.append(writer.finish())
    with zipfile.ZipFile(cast("IO[bytes]", file)) as archive:
        first, second = archive.infolist()
        assert (first.filename, first.file_size) == ("large", large)
        assert first.extract_version == zipfile.ZIP64_VERSION
        assert (second.filename, second.file_size) == ("small", 5)
        assert second.header_offset > large
        assert archive.read("small") == b"small"
    file.seek(30 + len("large"))
    assert struct.pack("<HHQQ", 1, 16, 0, 0) in file.read(40)  # so its descriptor has 64 bits


def test_more_than_eight_gigabytes_in_tar() -> None:
    """The most that the old header can tell is 8 GiB. Here only headers are written."""
    raw = TarWriter().begin(ArchiveMember("large", 9 * GB, NOON))
    assert len(raw) == 3 * tarfile.BLOCKSIZE
    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        member = archive.next()
    assert member is not None
    assert (member.name, member.size) == ("large", 9 * GB)
