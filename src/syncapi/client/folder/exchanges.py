"""Which of a conflict's two files is whose, after they were to get each other's names."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from syncapi.client.folder.births import birth_ns
from syncapi.client.folder.disk import status_of_file


@dataclass(frozen=True, slots=True)
class FileNumber:
    """What a file keeps whatever its name is and whatever is written to it.

    A program that saves by a new file of the same name makes another file of it.

    Attributes:
        inode: given out again once the file is deleted.
        birth_ns: when the inode was made; None where the system does not tell.
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

    def is_at(self, place: Path) -> bool:
        """Whether the file is at a place, as far as inodes and times of birth say."""
        found = FileNumber.at(place)
        if found is None or found.inode != self.inode:
            return False
        return None in (found.birth_ns, self.birth_ns) or found.birth_ns == self.birth_ns


@dataclass(frozen=True, slots=True)
class Exchange:
    """The two files of a conflict, noted before they get each other's names.

    Attributes:
        mine: of this folder; at first it is the copy.
        theirs: of the server; at first it has the name.
    """

    mine: FileNumber
    theirs: FileNumber

    def was_made(self, copy: Path, place: Path) -> bool | None:
        """Whether mine has the name and theirs is the copy by now; either file shows it.

        None where both were replaced or deleted since, so that neither does.
        """
        is_made = self.theirs.is_at(copy) or self.mine.is_at(place)
        is_as_before = self.mine.is_at(copy) or self.theirs.is_at(place)
        return None if is_made == is_as_before else is_made
