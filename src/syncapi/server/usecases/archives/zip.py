"""ZIP, by the standard library, which writes to what cannot seek back as well.

Members are deflated at level 0, that is, not compressed. Method "stored" would say the same, but
the CRC is known only behind the bytes, and readers that stream (Java's, for one) cannot find the
end of a stored member whose header does not say it; a deflated one marks its own end. Real
compression would cost a hundred times the CPU, of a service that others wait for, and most
documents (PDF, pictures, office files) are compressed already.
"""

import stat
import struct
from datetime import UTC, datetime
from typing import IO, ClassVar, Final, cast
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from syncapi.server.usecases.archives.archive_format import MEMBER_MODE, ArchiveMember

_EARLIEST: Final = datetime(1980, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(2107, 12, 31, 23, 59, 58, tzinfo=UTC)
_EXTENDED_TIMESTAMP: Final = 0x5455
_HAS_MODIFICATION: Final = 1
_LATEST_SECONDS: Final = 2**31 - 1


class _Outlet:
    """A file that can only be written, and whose bytes are taken away as they come."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, piece: bytes) -> int:
        self._pieces.append(piece)
        return len(piece)

    def flush(self) -> None:
        """Nothing is held back."""

    def take(self) -> bytes:
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken


class ZipWriter:
    """Writes a ZIP archive; Zip64 where a member or the archive needs it (APPNOTE 4.3.9.2)."""

    media_type: ClassVar[str] = "application/zip"

    def __init__(self) -> None:
        self._outlet = _Outlet()
        self._zip = ZipFile(cast("IO[bytes]", self._outlet), "w", ZIP_DEFLATED)
        self._member: IO[bytes] | None = None

    def begin(self, member: ArchiveMember) -> bytes:
        self._member = self._zip.open(_info(member), "w")
        return self._outlet.take()

    def add(self, piece: bytes) -> bytes:
        assert self._member is not None  # noqa: S101 - begun
        self._member.write(piece)
        return self._outlet.take()

    def end(self) -> bytes:
        assert self._member is not None  # noqa: S101 - begun
        self._member.close()
        return self._outlet.take()

    def finish(self) -> bytes:
        self._zip.close()
        return self._outlet.take()

    def close(self) -> None:
        """Let go of an archive, finished or not."""
        if self._member is not None:
            self._member.close()
        self._zip.close()


def _info(member: ArchiveMember) -> ZipInfo:
    """The header: times in UTC, to two seconds, and in the extra field to the second."""
    shown = min(max(member.modified.astimezone(UTC), _EARLIEST), _LATEST)
    info = ZipInfo(member.name, shown.timetuple()[:6])
    info.compress_type = ZIP_DEFLATED
    info._compresslevel = 0  # type: ignore[attr-defined]  # noqa: SLF001 - public from 3.13 on
    info.external_attr = (stat.S_IFREG | MEMBER_MODE) << 16
    info.file_size = member.size  # decides on Zip64 before the bytes come
    info.extra = _extended_timestamp(member.modified)
    return info


def _extended_timestamp(modified: datetime) -> bytes:
    """Seconds since 1970 (Info-ZIP's extra field "UT"), while they fit into 32 bits."""
    seconds = int(modified.timestamp())
    if not 0 <= seconds <= _LATEST_SECONDS:
        return b""
    return struct.pack("<HHBi", _EXTENDED_TIMESTAMP, 5, _HAS_MODIFICATION, seconds)
