"""What a run brought about."""

from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from syncapi.client.replica.machine import Reason
from syncapi.client.replica.records import ConflictRecord, FailureRecord
from syncapi.protocol.documents import Document
from syncapi.protocol.push import ChangeResult


@dataclass(frozen=True, slots=True)
class SyncResult:
    """The outcome of one run.

    Attributes:
        added, modified, deleted: what others changed; of a resync, all that differs.
        pushed: what the server said to each change that was sent.
        conflicts: all that were met, settled or not; `Replica.conflicts` has those still open.
        errors: one per document that failed. They did not stop the others, and are tried again
            at the next run.
        resynced: whether the replica had to begin again, and why.
    """

    added: list[Document]
    modified: list[Document]
    deleted: list[UUID]
    pushed: list[ChangeResult]
    conflicts: list[ConflictRecord]
    errors: list[FailureRecord]
    resynced: Literal["no"] | Reason = "no"


@dataclass(slots=True)
class Tally:
    """Counts while a run is under way; the last word on each document stands."""

    added: dict[UUID, Document] = field(default_factory=dict)
    modified: dict[UUID, Document] = field(default_factory=dict)
    deleted: set[UUID] = field(default_factory=set)
    pushed: list[ChangeResult] = field(default_factory=list)
    conflicts: dict[UUID, ConflictRecord] = field(default_factory=dict)
    errors: dict[UUID, FailureRecord] = field(default_factory=dict)
    resynced: Literal["no"] | Reason = "no"
    is_unexplained: bool = False
    """A push found nothing where a document is held; the feed shows why."""

    def upserted(self, document: Document, *, is_new: bool) -> None:
        """Note a document that came, or came anew."""
        if document.id in self.added or (is_new and document.id not in self.deleted):
            self.added[document.id] = document
        else:
            self.modified[document.id] = document
        self.deleted.discard(document.id)

    def dropped(self, document_id: UUID) -> None:
        """Note a document that is gone. One that came in this very run was never here."""
        self.modified.pop(document_id, None)
        if self.added.pop(document_id, None) is None:
            self.deleted.add(document_id)

    def result(self) -> SyncResult:
        return SyncResult(
            added=list(self.added.values()),
            modified=list(self.modified.values()),
            deleted=sorted(self.deleted),
            pushed=self.pushed,
            conflicts=list(self.conflicts.values()),
            errors=list(self.errors.values()),
            resynced=self.resynced,
        )
