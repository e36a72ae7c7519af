"""Whether an older copy of the folder seems to have been put over it."""

from uuid import UUID

from syncapi.client.folder.guards import expect_no_backup
from syncapi.client.folder.memory.conflicts import FolderConflicts
from syncapi.client.folder.observe.histories import Histories
from syncapi.client.folder.observe.observer import View
from syncapi.client.folder.observe.older_names import changed_files, edited_files, missing_files
from syncapi.client.folder.plan.actions import Delete


class Backups:
    """Holds what is to be done against what a backup looks like."""

    def __init__(self, histories: Histories, conflicts: FolderConflicts) -> None:
        self._histories = histories
        self._conflicts = conflicts

    def expect_none(self, view: View) -> None:
        """See that not many files went back to older versions, nor any while others are missing.

        Raises:
            WentBackStop: they did.
        """
        missing = self._missing(view)
        back = view.back | _back_with_the_server(view) if missing else view.back
        expect_no_backup(len(back), len(missing))

    async def expect_no_older_names(self, view: View) -> None:
        """See the same, and whether files have come back under older names of what is missing.

        That costs a request for each document that is missing.

        Raises:
            WentBackStop: as above.
            SyncError: the server cannot be reached or refuses.
        """
        missing = missing_files(view.whole, view.scan, view.agreed)
        if not missing:
            return
        changed = changed_files(view.scan, view.agreed, view.rules)
        found = await self._histories.under_older_names(missing, changed, view.rules)
        deleted, edited = self._missing(view), edited_files(view.whole, view.rules)
        new = {one for one, file in found.items() if one in deleted or file not in edited}
        expect_no_backup(len(view.back | new), len(deleted))

    def _missing(self, view: View) -> set[UUID]:
        """What would be deleted on the server, and is in no other place here.

        The copy of a conflict is, if the file that it was made of has its bytes again and the copy
        was not edited, or a person has decided for it.
        """
        deleted = {action.id for action in view.whole.actions if isinstance(action, Delete)}
        if not deleted:
            return deleted
        files = {file.path: file.sha256 for file in view.scan.files}
        known = {entry.id: entry.sha256 for entry in view.agreed}
        copies = {
            conflict.copy_id
            for conflict in self._conflicts.all()
            if conflict.copy_id is not None
            if files.get(conflict.path) == conflict.mine_sha256 == known.get(conflict.copy_id)
        }
        here = {*files.values()} & self._conflicts.decided_bytes()
        moved = {entry.id for entry in view.agreed if entry.sha256 in here}
        return deleted - copies - moved - _moved(view)


def _back_with_the_server(view: View) -> set[UUID]:
    """Documents of which the server has lost the version that was here, and the folder, too.

    Both have an older one: alone that is no matter of doubt.
    """
    files = {file.path: file.sha256 for file in view.scan.files}
    return {
        entry.id
        for entry in view.agreed
        if entry.version is not None
        and (there := view.documents.get(entry.id)) is not None
        and there.updated_at < entry.version
        and files.get(entry.path) == there.file.sha256_hash != entry.sha256
    }


def _moved(view: View) -> set[UUID]:
    """Documents whose files took the place of another document's.

    Their inodes and times of birth show it: what a backup brings is never another file of the
    folder.
    """
    own = {entry.path: (entry.inode, entry.birth_ns) for entry in view.agreed}
    moved = {
        (file.inode, file.birth_ns, file.sha256)
        for file in view.scan.files
        if file.birth_ns and own.get(file.path) != (file.inode, file.birth_ns)
    }
    return {
        entry.id for entry in view.agreed if (entry.inode, entry.birth_ns, entry.sha256) in moved
    }
