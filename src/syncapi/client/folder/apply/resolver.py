"""What a decision about a conflict does in the folder; the next sync carries it to the server.

To keep mine the two files get each other's names, and then the one that was the server's goes to
the trash. A process may end between these two. So the two files are noted before, and what comes
next takes it back, be it a sync or another decision (see `broken_off`).
"""

from pathlib import Path
from typing import Literal

from syncapi.client import durable
from syncapi.client.errors import SyncError
from syncapi.client.folder.apply.broken_off import BrokenOff
from syncapi.client.folder.disk.disk import Disk, Identity, MovedOn
from syncapi.client.folder.disk.exchanges import Exchange, FileNumber
from syncapi.client.folder.disk.trash import Trash
from syncapi.client.folder.ignore_rules import read_ignores
from syncapi.client.folder.memory.conflicts import FolderConflicts
from syncapi.client.folder.reports import FolderConflict


class Resolver:
    """Carries decisions about conflicts out."""

    def __init__(
        self, disk: Disk, trash: Trash, conflicts: FolderConflicts, broken_off: BrokenOff
    ) -> None:
        self._disk = disk
        self._trash = trash
        self._conflicts = conflicts
        self._broken_off = broken_off

    def resolve(self, conflict: FolderConflict, keep: Literal["mine", "theirs", "both"]) -> None:
        """Have one version left, the other in the trash; or both, mine as the copy.

        Raises:
            SyncError: the folder is not as the conflict says, or nothing shows which file is
                whose; both versions are where they were. The next call takes the copy for mine.
            OSError: the disk is full, say; likewise.
        """
        try:
            for one in [*self._others_of(conflict), conflict]:
                self._take_back(one)
            if keep == "both" and self._is_ignored(conflict.copy_path):
                return
            copy = self._disk.place(conflict.copy_path)
            if Identity.at(copy) is None:
                raise _gone(conflict)
            if keep == "theirs":
                self._trash.take(copy, conflict.copy_path)
            elif keep == "mine":
                self._give_name(conflict, copy)
        except MovedOn as error:
            raise SyncError(f"{error}.", hint="Move it away, then repeat.") from error

    def _others_of(self, conflict: FolderConflict) -> list[FolderConflict]:
        """Conflicts of the same files whose decisions were broken off."""
        files = {conflict.path, conflict.copy_path}
        return [
            one
            for one in self._conflicts.exchanged()
            if one != conflict and not files.isdisjoint((one.path, one.copy_path))
        ]

    def _take_back(self, conflict: FolderConflict) -> None:
        """Give the files of a conflict their own names back, if a decision was broken off."""
        if self._broken_off.take_back(conflict):
            return
        if not self._is_any_there(conflict):
            raise _gone(conflict)  # their folder was renamed: the next sync finds them
        self._conflicts.forget_exchange(conflict)
        raise _replaced(conflict)

    def _is_any_there(self, conflict: FolderConflict) -> bool:
        places = map(self._disk.place, (conflict.path, conflict.copy_path))
        return any(Identity.at(place) is not None for place in places)

    def _is_ignored(self, path: str) -> bool:
        """Whether a file may be missing from a path while its document is kept on the server."""
        return read_ignores(self._disk.root).covers(path)

    def _give_name(self, conflict: FolderConflict, copy: Path) -> None:
        """Put the copy at its file's place, which is never empty in between.

        A crash would leave there what the next sync takes for a deletion.
        """
        path, place = conflict.path, self._disk.make_room(conflict.path)
        before = Identity.at(place)
        if before is None:
            _move(copy, place, path)
            return
        if self._conflicts.has_another_file(conflict):
            raise _another(conflict)
        self._note(conflict, copy, place)
        if not durable.exchange(copy, place):
            self._conflicts.forget_exchange(conflict)
            self._replace(copy, place, path, before)
            return
        try:
            if Identity.at(copy) != before:
                raise _written_to(path)
            self._trash.take(copy, path)
        except (SyncError, OSError):
            if Identity.at(copy) is not None and durable.exchange(copy, place):
                self._conflicts.forget_exchange(conflict)
            raise

    def _note(self, conflict: FolderConflict, copy: Path, place: Path) -> None:
        mine, theirs = FileNumber.at(copy), FileNumber.at(place)
        if mine is None or theirs is None:
            raise _written_to(conflict.path)
        self._conflicts.note_exchange(conflict, Exchange(mine, theirs))

    def _replace(self, copy: Path, place: Path, path: str, before: Identity) -> None:
        """The same where files cannot be exchanged.

        Between the look and the rename there are microseconds in which a program could still
        write.
        """
        self._trash.keep(place, path)
        if Identity.at(place) != before:
            raise _written_to(path)
        durable.replace(copy, place)


def _gone(conflict: FolderConflict) -> SyncError:
    return SyncError(f"{conflict.copy_path} is not there any more.", hint="syncapi sync")


def _replaced(conflict: FolderConflict) -> SyncError:
    return SyncError(
        f"{conflict.path} and {conflict.copy_path} were replaced after an earlier decision "
        "was broken off, so that nothing shows which is whose. Nothing was done.",
        hint="Look at both, then repeat: the second one counts as yours.",
    )


def _another(conflict: FolderConflict) -> SyncError:
    return SyncError(
        f"The document of {conflict.path} was deleted, and another file has its name. Nothing was "
        "replaced.",
        hint=f"Keep both, or rename {conflict.path}, sync, then repeat.",
    )


def _written_to(path: str) -> SyncError:
    return SyncError(
        f"{path} was written to just now. Nothing was replaced.",
        hint="Look at it, then repeat.",
    )


def _move(copy: Path, place: Path, path: str) -> None:
    try:
        durable.move(copy, place)
    except FileExistsError as error:
        is_file = Identity.at(place) is not None
        what = "was written to just now" if is_file else "is a folder or a link"
        raise SyncError(
            f"{path} {what}. Nothing was replaced.", hint="Look at it, then repeat."
        ) from error
