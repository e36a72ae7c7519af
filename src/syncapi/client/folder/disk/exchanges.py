"""The two files of a conflict, which are to get each other's names; and which of them is whose."""

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self, TypeAlias

from syncapi.client.folder.disk.birth_time import birth_ns
from syncapi.client.folder.disk.disk import status_of_file
from syncapi.client.transfer.contents import FileContent, digest_of

Side: TypeAlias = Literal["mine", "theirs"]


@dataclass(frozen=True, slots=True)
class FileNumber:
    """What a file keeps whatever its name is and whatever is written to it.

    A program that saves by a new file of the same name makes another file of it.

    Attributes:
        inode: given out again once the file is deleted.
        birth_ns: when the inode was made; None where the system does not know.
    """

    inode: int
    birth_ns: int | None

    @classmethod
    def at(cls, place: Path) -> Self | None:
        """Of the file at a place; None where there is no plain file."""
        status = status_of_file(place)
        if status is None:
            return None
        return cls(status.st_ino, birth_ns(os.fspath(place), status))

    def is_surely(self, other: "FileNumber") -> bool:
        """Whether both are one file's."""
        return self.birth_ns is not None and self == other

    def may_be(self, other: "FileNumber") -> bool:
        """The same, also where the system does not know when a file was made."""
        return self.inode == other.inode and None in (self.birth_ns, other.birth_ns)


@dataclass(frozen=True, slots=True)
class Exchange:
    """The two files of a conflict, noted before they get each other's names.

    Attributes:
        mine: of this folder; at first it is the copy.
        theirs: of the server; at first it has the name.
    """

    mine: FileNumber
    theirs: FileNumber

    def side_at(self, place: Path, known: "KnownBytes") -> Side | None:
        """Whose the file at a place is; None where there is none, or nothing shows it.

        A file that is neither of the two is known by its bytes: a folder may have been copied. So
        is one of which only the inode is known, unless its bytes are new.
        """
        found = FileNumber.at(place)
        if found is None:
            return None
        if self.mine.is_surely(found):
            return "mine"
        if self.theirs.is_surely(found):
            return "theirs"
        return known.side_of(place) or self._side_by_inode(found)

    def _side_by_inode(self, found: FileNumber) -> Side | None:
        if self.mine.may_be(found):
            return "mine"
        return "theirs" if self.theirs.may_be(found) else None


@dataclass(frozen=True, slots=True)
class KnownBytes:
    """SHA-256 in hex of what each side of a conflict had at some time."""

    mine: Collection[str]
    theirs: Collection[str]

    def side_of(self, place: Path) -> Side | None:
        """Whose bytes a file has; None where there is none, or they are of neither or of both."""
        try:
            if status_of_file(place) is None:
                return None
            sha256 = digest_of(FileContent(place)).sha256_hash
        except OSError:
            return None
        if (sha256 in self.mine) == (sha256 in self.theirs):
            return None
        return "mine" if sha256 in self.mine else "theirs"
