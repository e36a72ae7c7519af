"""Decisions for mine that were broken off: the two files get their own names back.

To keep mine, the two files of a conflict get each other's names, and then the one that was the
server's goes to the trash. A process may end between these two. Nothing may work on the names as
they are then, neither a sync nor another decision: the copy would pass for mine and what has the
name for the server's. So both take this back first.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace

from syncapi.client import durable
from syncapi.client.folder.apply.sync_pass import failure_of
from syncapi.client.folder.conflict_names import marked
from syncapi.client.folder.disk.disk import Disk, Identity, MovedOn, status_of_file
from syncapi.client.folder.disk.exchanges import FileNumber
from syncapi.client.folder.memory.conflicts import FolderConflicts
from syncapi.client.folder.model import Scan, is_left_alone
from syncapi.client.folder.names import join, split
from syncapi.client.folder.observe.observer import View
from syncapi.client.folder.plan.actions import Plan
from syncapi.client.folder.reports import Failure, FolderConflict


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

        Where theirs is gone from the copy's name, a person has done what was left to do: mine
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

        A kill in between leaves mine under a name that says whose it is.
        """
        aside = marked(conflict.copy_path, "mine")
        mine = Identity.at(self._disk.place(conflict.path))
        if mine is None:
            raise MovedOn(f"{conflict.path} has gone since it was looked at")
        self._disk.move(conflict.path, mine, aside)
        self._disk.move(conflict.copy_path, theirs, conflict.path)
        self._disk.move(aside, mine, conflict.copy_path)

    async def take_back_and_look(
        self, look: Callable[[], Awaitable[View]]
    ) -> tuple[View, list[Failure]]:
        """Take all back, and look at the folder.

        Returns:
            The view, and what could not be taken back. Nothing is planned of those documents.

        Raises:
            StoreBusy: another process is deciding.
            SyncError: as `look` does.
        """
        view = await look()
        # Only after the look, since a decision may be killed during it; and then the folder is
        # looked at once more, since a plan must go by the files' own names.
        while True:
            has_changed, failed = await asyncio.to_thread(self._take_all_back, view.scan)
            if not has_changed:
                return _leave_alone(view, failed), [*failed.values()]
            view = await look()

    def _take_all_back(self, scan: Scan) -> tuple[bool, dict[FolderConflict, Failure]]:
        """Return whether names may have changed since they were seen, and what failed."""
        failed: dict[FolderConflict, Failure] = {}
        before = self._conflicts.exchanged()
        if not before:
            return False, failed
        with self._conflicts.deciding():
            for conflict in self._conflicts.exchanged():
                found = self._find(conflict, scan)
                try:
                    if found is None:
                        self._conflicts.forget_exchange(conflict)
                    else:
                        self._take_back_or_finish(found, scan)
                except (MovedOn, OSError) as error:
                    failed[found or conflict] = failure_of("move", conflict.path, error)
            return self._conflicts.exchanged() != before, failed

    def _find(self, conflict: FolderConflict, scan: Scan) -> FolderConflict | None:
        """Find the conflict with its files where they are: a person may have renamed their folder.

        Files that are ignored are looked for, too: copies may be.

        Returns:
            None if they are in no folder that was looked into: a person has dealt with them.
        """
        paths = conflict.path, conflict.copy_path
        if self.is_turned(conflict) is not None or any(is_left_alone(p, scan) for p in paths):
            return conflict
        name, copy_name = (split(path)[1] for path in paths)
        moved = (
            replace(conflict, path=join(folder, name), copy_path=join(folder, copy_name))
            for folder in ("", *scan.folders)
        )
        if any(status_of_file(self._disk.root / path) for path in paths):
            return next((one for one in moved if self._is_surely(one)), conflict)
        alike = [one for one in moved if self.is_turned(one)]
        return next(filter(self._is_surely, alike), alike[0] if alike else None)

    def _is_surely(self, conflict: FolderConflict) -> bool:
        """Whether one of the two files that were noted is there, and no copy of it."""
        noted = self._conflicts.exchange_of(conflict)
        if noted is None:
            return False
        named = FileNumber.at(self._disk.root / conflict.path)
        copied = FileNumber.at(self._disk.root / conflict.copy_path)
        return (named is not None and noted.mine.is_surely(named)) or (
            copied is not None and noted.theirs.is_surely(copied)
        )

    def _take_back_or_finish(self, conflict: FolderConflict, scan: Scan) -> None:
        """Take it back; or, where a person has deleted theirs, note that mine has the name."""
        self.take_back(conflict)
        path, noted = conflict.copy_path, self._conflicts.exchange_of(conflict)
        if is_left_alone(path, scan) or status_of_file(self._disk.root / path) is not None:
            return
        numbers = {(file.inode, file.birth_ns) for file in scan.files}
        if noted is not None and (noted.theirs.inode, noted.theirs.birth_ns) in numbers:
            return  # it was renamed
        if self.is_turned(conflict):
            mine = FileNumber.at(self._disk.root / conflict.path)
            self._conflicts.note_place_of_mine(conflict, mine)
        self._conflicts.forget_exchange(conflict)


def _leave_alone(view: View, failed: Collection[FolderConflict]) -> View:
    """The same without what is planned of documents whose files have each other's names."""
    if not failed:
        return view
    ids = {document for one in failed for document in (one.id, one.copy_id)}
    paths = {path for one in failed for path in (one.path, one.copy_path)}

    def without(planned: Plan) -> Plan:
        return replace(
            planned,
            actions=tuple(
                action
                for action in planned.actions
                if action.path not in paths and (action.id is None or action.id not in ids)
            ),
        )

    return replace(view, whole=without(view.whole), plan=without(view.plan), back=view.back - ids)
