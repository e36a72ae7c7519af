"""Decisions for mine that were broken off: the two files get their own names back.

To keep mine, the two files of a conflict get each other's names, and then the one that was the
server's goes to the trash. A process may end between these two. Nothing may work on the names as
they are then, neither a sync nor another decision: the copy would pass for mine and what has the
name for the server's. So both take this back first.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from syncapi.client import durable
from syncapi.client.folder.conflict_names import marked
from syncapi.client.folder.conflicts import FolderConflicts
from syncapi.client.folder.disk import Disk, Identity, MovedOn
from syncapi.client.folder.observer import View
from syncapi.client.folder.reports import FolderConflict


class BrokenOff:
    """Finds what decisions have left that were broken off, and takes it back."""

    def __init__(self, disk: Disk, conflicts: FolderConflicts) -> None:
        self._disk = disk
        self._conflicts = conflicts

    def is_turned(self, conflict: FolderConflict) -> bool | None:
        """Whether mine has the file's name and theirs that of the copy; either file shows it.

        None where neither does, since both were replaced, or where they contradict each other.
        """
        exchange = self._conflicts.exchange_of(conflict)
        if exchange is None:
            return False
        known = self._conflicts.known_bytes(conflict)
        named = exchange.side_at(self._disk.root / conflict.path, known)
        copied = exchange.side_at(self._disk.root / conflict.copy_path, known)
        is_turned = named == "mine" or copied == "theirs"
        is_as_before = named == "theirs" or copied == "mine"
        return None if is_turned == is_as_before else is_turned

    def take_back(self, conflict: FolderConflict) -> bool:
        """Give the two files of a conflict their names back, where they have each other's.

        Where theirs is gone from the copy's name, somebody has done what was left to do: mine
        keeps the file's name.

        Returns:
            False where nothing shows which is whose.

        Raises:
            MovedOn: a folder on the way is none any more, or a file has come meanwhile.
            OSError: the names cannot be changed.
        """
        if self._conflicts.exchange_of(conflict) is None:
            return True
        is_turned = self.is_turned(conflict)
        if is_turned is None:
            return False
        if is_turned:
            copy, place = self._disk.place(conflict.copy_path), self._disk.place(conflict.path)
            theirs = Identity.at(copy)
            if theirs is None:
                return True
            if Identity.at(place) is None:
                self._disk.move(conflict.copy_path, theirs, conflict.path)
            elif not durable.exchange(copy, place):
                self._exchange_by_moves(conflict, theirs)
        self._conflicts.forget_exchange(conflict)
        return True

    def _exchange_by_moves(self, conflict: FolderConflict, theirs: Identity) -> None:
        """The same where files cannot be exchanged: the folder may be on another disk by now.

        A kill in between leaves mine under a name that tells it.
        """
        aside = marked(conflict.copy_path, "mine")
        mine = Identity.at(self._disk.place(conflict.path))
        if mine is None:
            raise MovedOn(f"{conflict.path} has gone since it was looked at")
        self._disk.move(conflict.path, mine, aside)
        self._disk.move(conflict.copy_path, theirs, conflict.path)
        self._disk.move(aside, mine, conflict.copy_path)

    async def taken_back(self, look: Callable[[], Awaitable[View]]) -> View:
        """Take all back, and look at the folder; what cannot be taken back is left as it is.

        Raises:
            StoreBusy: another process is deciding.
            SyncError: as it does that looks.
        """
        view = await look()
        # After the look: a process may be killed during it. What is planned must be of own names.
        while await asyncio.to_thread(self._take_all_back):
            view = await look()
        return view

    def _take_all_back(self) -> bool:
        """Return whether names may have changed since they were seen."""
        before = self._conflicts.exchanged()
        if not before:
            return False
        with self._conflicts.deciding():
            for conflict in self._conflicts.exchanged():
                with suppress(MovedOn, OSError):
                    self.take_back(conflict)
            return self._conflicts.exchanged() != before
