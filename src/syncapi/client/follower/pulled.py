"""What a run has brought so far."""

from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from syncapi.client.follower.machine import Reason
from syncapi.protocol.documents import Document


@dataclass(slots=True)
class Pulled:
    """What others changed; the last word on each document stands.

    Attributes:
        added, modified, deleted: of a resync, all that differs.
        resynced: whether the follower had to begin again, and why.
    """

    added: dict[UUID, Document] = field(default_factory=dict)
    modified: dict[UUID, Document] = field(default_factory=dict)
    deleted: set[UUID] = field(default_factory=set)
    resynced: Literal["no"] | Reason = "no"

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
