"""The folder itself: every change of it looks first at what it is about to change.

A file may have been written to between the scan and the act, so each act names the file that it
expects. What has another size, time or inode by then raises `MovedOn`, nothing is done, and
the next round sees it as it is.
"""

import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from syncapi.client import durable
from syncapi.client.errors import SafetyStop
from syncapi.client.folder.disk.trash import Trash
from syncapi.client.folder.model import LocalFile


class MovedOn(Exception):  # noqa: N818 - no failure: the next round looks again
    """The folder is no longer what was planned for."""


def status_of_file(place: Path) -> os.stat_result | None:
    """The status of the plain file at a place; None where there is none."""
    try:
        status = place.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status if stat.S_ISREG(status.st_mode) else None


@dataclass(frozen=True, slots=True)
class Identity:
    """What shows that a file was not touched, without reading it."""

    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, file: LocalFile) -> "Identity":
        """As the scan saw it."""
        return cls(file.size, file.mtime_ns, file.inode)

    @classmethod
    def at(cls, path: Path) -> "Identity | None":
        """As it is now; None where there is no plain file."""
        status = status_of_file(path)
        if status is None:
            return None
        return cls(status.st_size, status.st_mtime_ns, status.st_ino)


class Disk:
    """A folder that is kept in step; paths are relative to it, with ``/``."""

    def __init__(self, root: Path, trash: Trash) -> None:
        self.root = root
        self._trash = trash
        self._anchor: tuple[int, int] | None = None

    def anchor(self) -> None:
        """Hold on to the folder that is at the root: nothing is done in another, ever after.

        Raises:
            SafetyStop: there is none, or another one than at first.
        """
        found = self._found()
        if found is None:
            raise missing(self.root)
        if self._anchor not in (None, found):
            raise SafetyStop(
                f"{self.root} is another folder than when this began. Nothing was done in it.",
                hint="Was it put back from a backup, or its disk mounted? Begin again.",
            )
        self._anchor = found

    def _found(self) -> tuple[int, int] | None:
        try:
            status = self.root.stat()
        except OSError:
            return None
        return (status.st_dev, status.st_ino) if stat.S_ISDIR(status.st_mode) else None

    def place(self, path: str) -> Path:
        """Where a path leads, never out of the folder by a symbolic link.

        Raises:
            MovedOn: a folder on the way is a link, or a file; or the root is another folder than
                it was, as when a disk was unmounted.
        """
        self._expect_root()
        parts = path.split("/")
        here = self.root
        for part in parts[:-1]:
            here = here / part
            if os.path.lexists(here) and not _is_folder(here):
                raise MovedOn(f"{here.relative_to(self.root)} is not a folder")
        return here / parts[-1]

    def _expect_root(self) -> None:
        if self._anchor is not None and self._found() != self._anchor:
            raise MovedOn(f"{self.root} is another folder than it was")

    def expect_no_file(self, path: str) -> None:
        """See that a file is gone. A folder may have its name by now, or a file its folder's.

        Raises:
            MovedOn: there is a file, or the root is another folder than it was.
        """
        self._expect_root()
        if Identity.at(self.root / path) is not None:
            raise MovedOn(f"{path} has come back since it was looked at")

    def expect(self, path: str, identity: Identity | None) -> Path:
        """The place of a path that is as it was seen, or empty for None.

        Raises:
            MovedOn: it is not.
        """
        place = self.place(path)
        found = Identity.at(place)
        if found != identity or (identity is None and os.path.lexists(place)):
            raise MovedOn(f"{path} has changed since it was looked at")
        return place

    def move(self, source: str, identity: Identity, target: str) -> None:
        """Rename a file to a name that nothing has.

        Raises:
            MovedOn: the file has changed, or the name is taken.
        """
        origin, place = self.expect(source, identity), self.make_room(target)
        if _is_respelt(origin, place):
            durable.replace(origin, place)
        else:
            self._rename(origin, place)
        self._tidy(origin.parent)

    def discard(self, path: str) -> None:
        """Take a temporary file away for good, if it is there and is a file."""
        with contextlib.suppress(OSError, MovedOn):
            place = self.place(path)
            if stat.S_ISREG(place.lstat().st_mode):
                durable.remove(place)

    def put(self, part: Path, path: str, over: Identity | None) -> None:
        """Give a finished download its name. What was there goes to the trash first.

        The name lasts once the path's folder is synced.

        Raises:
            MovedOn: what is there is not what was expected.
        """
        place = self.expect(path, over)
        if over is not None:
            self._take_away(place, path, over)
        self._rename(part, place, is_lasting=False)

    def trash(self, path: str, identity: Identity) -> None:
        """Move a file to the trash.

        Raises:
            MovedOn: it has changed.
        """
        place = self.expect(path, identity)
        self._take_away(place, path, identity)
        self._tidy(place.parent)

    def make_room(self, path: str) -> Path:
        """The place of a path whose folders exist."""
        place = self.place(path)
        for folder in reversed(list(self._missing(place.parent))):
            folder.mkdir(exist_ok=True)
            durable.sync_folder(folder.parent)
        return place

    def _missing(self, folder: Path) -> Iterator[Path]:
        while folder != self.root and not folder.exists():
            yield folder
            folder = folder.parent

    def _take_away(self, place: Path, path: str, identity: Identity) -> None:
        """A writer may come between the look and the rename: look again at what was taken."""
        taken = self._trash.take(place, path)
        found = Identity.at(taken)
        if found is None or (found.size, found.mtime_ns) != (identity.size, identity.mtime_ns):
            self._trash.put_back(taken, place)
            raise MovedOn(f"{path} was written to")

    def _rename(self, source: Path, target: Path, *, is_lasting: bool = True) -> None:
        try:
            durable.move(source, target, is_lasting=is_lasting)
        except (FileExistsError, FileNotFoundError) as error:
            raise MovedOn(str(error)) from error

    def _tidy(self, folder: Path) -> None:
        """Remove folders that the last file has left."""
        while folder != self.root:
            try:
                folder.rmdir()
            except OSError:
                return  # not empty
            folder = folder.parent


def missing(root: Path) -> SafetyStop:
    """Say that the folder is gone."""
    return SafetyStop(
        f"{root} is not there. Nothing was deleted on the server.",
        hint="Is a disk not mounted? If the folder was moved, tell: syncapi init",
    )


def takes_cases_for_one(root: Path) -> bool:
    """Whether the file system of a folder takes names for one that differ in case alone.

    One of the names in it shows it; while there is none, the folder's own name does.
    """
    try:
        names = [root / entry.name for entry in os.scandir(root)]
    except OSError:
        names = []
    for place in (*names, root):
        other = place.with_name(place.name.swapcase())
        if other.name != place.name:
            return _is_same_file(place, other)
    return False


def _is_respelt(source: Path, target: Path) -> bool:
    """Whether both are names of one file to a file system that takes cases for one.

    Such a name is changed by a plain rename, and by no other.
    """
    if source == target or source.name.casefold() != target.name.casefold():
        return False
    return _is_same_file(source, target) and takes_cases_for_one(source.parent)


def _is_same_file(one: Path, other: Path) -> bool:
    try:
        return one.lstat().st_ino == other.lstat().st_ino
    except OSError:
        return False


def _is_folder(path: Path) -> bool:
    return stat.S_ISDIR(path.lstat().st_mode)
