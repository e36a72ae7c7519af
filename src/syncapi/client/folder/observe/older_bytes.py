"""Which files here are no edits, since they have bytes that their documents had before."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from syncapi.client.folder.memory.conflicts import FolderConflicts
from syncapi.client.folder.model import EMPTY, Base, Scan
from syncapi.client.folder.observe.histories import Histories
from syncapi.client.folder.observe.older_names import edited_files, missing_files
from syncapi.client.folder.plan.actions import Create, Delete, Plan, SetAside, Update
from syncapi.client.folder.plan.planner import WentBack
from syncapi.client.folder.rules import Rules
from syncapi.protocol.documents import Document


@dataclass(frozen=True, slots=True)
class OlderBytes:
    """Files here that went back.

    Attributes:
        fates: what is to become of them, by document, where they are not pushed.
        signs: documents whose files show that a backup may have been put back. Only a decision
            for those bytes says otherwise: that a person was asked about them does not.
    """

    fates: Mapping[UUID, WentBack] = field(default_factory=dict)
    signs: frozenset[UUID] = frozenset()


class OlderVersions:
    """Asks the server's histories about what seems to be an edit."""

    def __init__(self, histories: Histories, conflicts: FolderConflicts) -> None:
        self._histories = histories
        self._conflicts = conflicts

    async def find(
        self,
        planned: Plan,
        entries: Collection[Base],
        found: Scan,
        documents: Mapping[UUID, Document],
        rules: Rules,
        how: WentBack,
        *,
        fetches_missing: bool,
    ) -> OlderBytes:
        """Find the files that went back.

        Args:
            planned: what would be done if all were edits.
            entries: the ledger, had no answer to a push been lost.
            found: the folder.
            documents: what lives on the server.
            rules: how the folder is kept.
            how: what is to become of such files. If a person is asked, then once.
            fetches_missing: whether no document is deleted since its file is missing.

        Raises:
            SyncError: the server cannot be reached or refuses.
        """
        edits = _edits(planned, entries, found, documents, how)
        older = await self._histories.went_back(edits)
        deleted = {action.id for action in planned.actions if isinstance(action, Delete)}
        # About those that would be deleted, a person is asked before anything is done.
        missing = missing_files(
            planned, found, (e for e in entries if fetches_missing or e.id not in deleted)
        )
        edited = edited_files(planned, rules)
        came_back = await self._histories.under_older_names(missing, edited, rules)
        returned = {edited[file] for file in came_back.values()}
        if how == "theirs":
            return OlderBytes(dict.fromkeys(older | returned, how))
        decided = self._decided(edits, entries, found)
        unasked, undecided = older - self._asked(edits, entries), older - decided
        returned -= decided
        return OlderBytes(dict.fromkeys(unasked | returned, how), frozenset(undecided | returned))

    def _asked(self, edits: Mapping[UUID, str], entries: Iterable[Base]) -> set[UUID]:
        return {
            entry.id
            for entry in entries
            if entry.id in edits and self._conflicts.was_asked(entry, edits[entry.id])
        }

    def _decided(
        self, edits: Mapping[UUID, str], entries: Iterable[Base], found: Scan
    ) -> set[UUID]:
        files = {file.path: file for file in found.files} if edits else {}
        return {
            entry.id
            for entry in entries
            if entry.id in edits
            and self._conflicts.was_decided(entry, edits[entry.id], files.get(entry.path))
        }


def _edits(
    planned: Plan,
    entries: Iterable[Base],
    found: Scan,
    documents: Mapping[UUID, Document],
    how: WentBack,
) -> dict[UUID, str]:
    """New bytes of documents that the server has, or had, and may have changed since.

    The bytes that both sides agreed on last are no older version: such a file was only renamed.
    Neither is anything older than a document that the server has lost altogether. An empty file
    has nothing that could be older, so that no question is asked about it: programs empty files
    all the time.
    """
    agreed = {
        entry.id: entry.sha256
        for entry in entries
        if entry.version is not None and (entry.id in documents or not entry.lost)
    }
    return {
        document_id: sha256
        for document_id, sha256 in _pushed_or_contested(planned, found, how)
        if document_id is not None and sha256 is not None
        if sha256 != agreed.get(document_id, sha256)
        if sha256 != EMPTY or how == "theirs"
    }


def _pushed_or_contested(
    planned: Plan, found: Scan, how: WentBack
) -> Iterator[tuple[UUID | None, str | None]]:
    for action in planned.actions:
        if isinstance(action, Update | SetAside) or (
            isinstance(action, Create) and action.revives
        ):
            yield action.id, action.sha256
    files = {file.path: file.sha256 for file in found.files} if planned.pending else {}
    for pending in planned.pending:  # a push leaves conflicts as they are, and a pull edits
        if pending.kind == "conflict" or (pending.kind == "update" and how == "theirs"):
            yield pending.id, files.get(pending.path)
