"""The folders that are kept in step: ``folders.json``.

A folder has its id in an extended attribute, if the file system supports them. So a folder that
was moved is recognised, and another folder at its path, such as the mount point of a disk that is
not mounted, is not mistaken for it. Neither is a copy, which has another inode.
"""

import os
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from syncapi.cli.client.identities import Identity
from syncapi.cli.client.json_files import Record
from syncapi.cli.client.places import config_dir, state_dir
from syncapi.cli.exit_codes import CommandFailed, ExitCode

_MARK = "user.syncapi.folder"

Encryption = Literal["no", "keyring", "file", "passphrase"]


class Folder(BaseModel):
    """A folder that is kept in step.

    Attributes:
        device: part of the names of conflict copies.
        is_marked: whether the folder has its id as an attribute; if not, only its path identifies
            it.
        identity: its inode; None if the inode is not to be compared.
    """

    id: str
    path: Path
    account: str
    device: str
    encryption: Encryption = "no"
    key_file: Path | None = None
    trash_days: int = 30
    is_marked: bool = False
    identity: Identity | None = None
    created_at: datetime

    @property
    def state(self) -> Path:
        """The folder that holds what was synced last, and the trash."""
        return state_dir() / self.id

    def is_at(self, place: Path) -> bool:
        """Whether a folder that has this id is the one that was synced, and not a copy of it."""
        return self.identity is None or self.identity.is_that_of(place)


class FoldersFile(BaseModel):
    version: Literal[1] = 1
    folders: list[Folder] = []

    def by_id(self, folder_id: str) -> Folder | None:
        return next((folder for folder in self.folders if folder.id == folder_id), None)


def folders() -> Record[FoldersFile]:
    """The file of all folders."""
    return Record(config_dir() / "folders.json", FoldersFile)


def mark(path: Path, folder_id: str) -> bool:
    """Write its id into a folder's attributes; False if the file system does not support it."""
    try:
        os.setxattr(path, _MARK, folder_id.encode())
    except (OSError, AttributeError):
        return False
    return read_mark(path) == folder_id


def unmark(path: Path) -> None:
    """Remove the id from a folder's attributes."""
    with suppress(OSError, AttributeError):
        os.removexattr(path, _MARK)


def read_mark(path: Path) -> str | None:
    """The id in a folder's attributes; None if there is none."""
    try:
        return os.getxattr(path, _MARK).decode()
    except (OSError, AttributeError, UnicodeDecodeError):
        return None


def folder_of(path: Path) -> tuple[Folder, Path | None]:
    """The folder that ``path`` is in, and its former path if it has been moved.

    Raises:
        CommandFailed: ``path`` is in no folder, or the folder is missing, a copy or another one.
    """
    known = folders().read()
    place = path.expanduser().absolute()
    place = place.parent.resolve() / place.name if place.is_symlink() else place.resolve()
    for candidate in (place, *place.parents):
        for folder in known.folders:
            if folder.path == candidate and _still_holds(folder):
                return folder, None
        moved = known.by_id(read_mark(candidate) or "")
        if moved is not None:
            _expect_apart(candidate, [one for one in known.folders if one.id != moved.id])
            return _follow_move(moved, candidate)
    raise _explain_unknown(place, known.folders)


def _still_holds(folder: Folder) -> bool:
    if not folder.path.is_dir():
        raise CommandFailed(
            f"the folder {folder.path} is gone. Nothing was done: neither here nor on the server",
            ExitCode.STOPPED,
            hint="mount its disk, or if you moved it: "
            f"syncapi init NEW_PLACE --moved-from {folder.path}",
        )
    carried = read_mark(folder.path)
    if not folder.is_marked:
        return True
    if carried == folder.id:
        if not folder.is_at(folder.path):
            raise _explain_copy(folder, folder.path)
        return True
    if carried is not None:
        return False  # another folder that is kept in step is at its path
    raise CommandFailed(
        f"{folder.path} is not the folder that it was: another one has its name now, or its "
        "disk is not mounted. Nothing was done",
        ExitCode.STOPPED,
        hint="mount its disk, or if this folder shall be it: "
        f"syncapi init {folder.path} --moved-from {folder.path}",
    )


def _follow_move(folder: Folder, now: Path) -> tuple[Folder, Path]:
    is_away = not folder.path.is_dir() or read_mark(folder.path) != folder.id
    if folder.is_at(now) and (is_away or folder.identity is not None):
        return relocate(folder, now, folder.identity), folder.path
    if not is_away:
        raise CommandFailed(
            f"{now} is a copy of {folder.path}, which is kept in step itself",
            ExitCode.USAGE,
            hint=f"syncapi init {now} makes it a folder of its own",
        )
    raise _explain_copy(folder, now)


def _expect_apart(now: Path, others: list[Folder]) -> None:
    """Refuse a folder that was moved into another: each would copy the other without end."""
    for other in others:
        if now.is_relative_to(other.path) or other.path.is_relative_to(now):
            raise CommandFailed(
                f"{now} and {other.path}, which is kept in step too, lie in each other by now. "
                "Nothing was done",
                ExitCode.STOPPED,
                hint="move one out of the other, or `syncapi forget` one of them",
            )


def _explain_copy(folder: Folder, place: Path) -> CommandFailed:
    other = "" if place == folder.path else f"; `syncapi init {place}` makes it one of its own"
    return CommandFailed(
        f"{place} carries the id of {folder.path}, but is not the folder that was synced last: it "
        "was copied, put back from a backup or moved to another disk, and may be older than what "
        "the server has. Nothing was done: neither here nor on the server",
        ExitCode.USAGE,
        hint="if it shall be kept in step from now on, as it is: "
        f"syncapi init {place} --moved-from {folder.path}{other}",
    )


def relocate(folder: Folder, now: Path, identity: Identity | None) -> Folder:
    """Record the new path of a folder, or the new inode."""
    with folders().change() as known:
        noted = known.by_id(folder.id) or folder
        noted.path = now
        noted.is_marked = mark(now, folder.id)
        noted.identity = identity
    return noted


def _explain_unknown(place: Path, known: list[Folder]) -> CommandFailed:
    if not known:
        return CommandFailed(
            f"{place} is in no folder that is kept in step: there is none yet",
            ExitCode.USAGE,
            hint="syncapi init DIR",
        )
    listed = "".join(
        f"\n  {folder.path}{'' if folder.path.is_dir() else '  (gone)'}" for folder in known
    )
    return CommandFailed(
        f"{place} is in no folder that is kept in step. Those are:{listed}",
        ExitCode.USAGE,
        hint="name one of them, or `cd` there; `syncapi init DIR` begins another; if you moved "
        "one here: `syncapi init DIR --moved-from OLD_PLACE`",
    )
