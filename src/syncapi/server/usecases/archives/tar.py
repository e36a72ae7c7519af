"""TAR in the pax format (POSIX.1-2001): any size, any name, times to the microsecond."""

from tarfile import BLOCKSIZE, NUL, PAX_FORMAT, RECORDSIZE, TarInfo
from typing import ClassVar

from syncapi.server.usecases.archives.archive_format import MEMBER_MODE, ArchiveMember


class TarWriter:
    """Writes a TAR archive, its headers by the standard library."""

    media_type: ClassVar[str] = "application/x-tar"

    def __init__(self) -> None:
        self._written = 0

    def begin(self, member: ArchiveMember) -> bytes:
        info = TarInfo(member.name)
        info.size = member.size
        info.mtime = member.modified.timestamp()
        info.mode = MEMBER_MODE
        return self.add(info.tobuf(PAX_FORMAT, "utf-8", "strict"))

    def add(self, piece: bytes) -> bytes:
        self._written += len(piece)
        return piece

    def end(self) -> bytes:
        return self.add(self._padding(BLOCKSIZE))

    def finish(self) -> bytes:
        """Two empty blocks, and as many as fill the last record."""
        return self.add(NUL * 2 * BLOCKSIZE) + self.add(self._padding(RECORDSIZE))

    def close(self) -> None:
        """Nothing is held."""

    def _padding(self, unit: int) -> bytes:
        return NUL * (-self._written % unit)
