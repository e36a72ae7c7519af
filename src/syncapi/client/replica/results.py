"""What a run brought about."""

from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from syncapi.client.follower.machine import Reason
from syncapi.client.follower.pulled import Pulled
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
class Tally(Pulled):
    """Counts while a run is under way; the last word on each document stands.

    Attributes:
        is_unexplained: a push found nothing where a document is held; the feed shows why.
    """

    pushed: list[ChangeResult] = field(default_factory=list)
    conflicts: dict[UUID, ConflictRecord] = field(default_factory=dict)
    errors: dict[UUID, FailureRecord] = field(default_factory=dict)
    is_unexplained: bool = False

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
