"""Whether an older copy of the folder seems to have been put over it."""

from uuid import UUID

from syncapi.client.folder.actions import Create, Delete, Download
from syncapi.client.folder.guards import expect_no_backup
from syncapi.client.folder.histories import Histories
from syncapi.client.folder.looking import EMPTY, View


class Backups:
    """Holds what is to be done against what a backup looks like.

    Bytes that some document has now are no sign of one: a file that is made from a template has
    those, or one that was moved over another.
    """

    def __init__(self, histories: Histories) -> None:
        self._histories = histories

    def expect_none(self, view: View) -> None:
        """See that not many files went back to older versions, nor any while others are missing.

        Raises:
            WentBackStop: they did.
        """
        expect_no_backup(view.whole, len(_signs(view)))

    async def expect_no_older_names(self, view: View) -> None:
        """See the same, and whether files have come back under older names of what is missing.

        That costs a request for each document that is missing.

        Raises:
            WentBackStop: as above.
            SyncError: the server cannot be reached or refuses.
        """
        missing = _missing(view)
        if not missing:
            return
        found = await self._histories.under_older_names(missing, _unknown(view))
        expect_no_backup(view.whole, len(_signs(view) | found))


def _signs(view: View) -> set[UUID]:
    live = _live(view) if view.back else ()
    return {found for found, sha256 in view.back.items() if sha256 not in live}


def _missing(view: View) -> dict[UUID, str]:
    """SHA-256 of the files that are gone from here, by document, as they were."""
    gone = {
        action.id
        for action in view.whole.actions
        if isinstance(action, Delete)
        or (isinstance(action, Download) and action.replaces_sha256 is None)
    }
    return {
        entry.id: entry.sha256
        for entry in view.resolved.entries
        if entry.id in gone and entry.sha256 and entry.version is not None and not entry.lost
    }


def _unknown(view: View) -> set[tuple[str, str, str]]:
    """Folder, name and SHA-256 of what would be pushed as documents of their own."""
    told_nothing = {EMPTY, *_live(view)}
    return {
        (action.folder, action.filename, action.sha256)
        for action in view.whole.actions
        if isinstance(action, Create) and not action.revives
        if action.sha256 not in told_nothing
    }


def _live(view: View) -> set[str]:
    return {document.file.sha256_hash for document in view.documents.values()}
