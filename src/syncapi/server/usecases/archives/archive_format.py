"""What the formats of archives have in common."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Final, Protocol

MEMBER_MODE: Final = 0o644
"""A plain file that its owner may write and everybody read."""


@dataclass(frozen=True, slots=True)
class ArchiveMember:
    """One file of an archive.

    Attributes:
        name: its path, safe, and unlike all others.
        size: in bytes; exactly so many follow.
    """

    name: str
    size: int
    modified: datetime


class ArchiveWriter(Protocol):
    """Turns members into the bytes of an archive, a piece at a time and without I/O.

    ``begin``, any number of ``add``, ``end``; again for each member; at last ``finish``. Each
    returns the bytes that are ready, so nothing but the table of contents is kept.
    """

    media_type: ClassVar[str]

    def begin(self, member: ArchiveMember) -> bytes: ...

    def add(self, piece: bytes) -> bytes: ...

    def end(self) -> bytes: ...

    def finish(self) -> bytes: ...

    def close(self) -> None:
        """Let go of an archive, finished or not."""
