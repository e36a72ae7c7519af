"""What a person was asked about in the place of a document, and what they decided.

Files with older bytes are set aside, and a person is asked. That they were asked is not yet an
answer: the same bytes may come once more, with a backup. Only a decision for them is one.
"""

from datetime import datetime
from uuid import UUID

from syncapi.client.folder.model import Base
from syncapi.client.store.store import Store
from syncapi.protocol.base import WireModel


class QuestionRow(WireModel):
    """SHA-256 in hex of what was asked about, while the document had this version.

    Attributes:
        decided: those of them that are to stay.
    """

    sha256s: tuple[str, ...]
    version: datetime | None
    decided: tuple[str, ...] = ()


class Questions:
    """Kept by document. A new version of it here is a new question.

    What others do to the document before this folder has it undoes no decision.
    """

    def __init__(self, store: Store) -> None:
        self._table = store.table("folder_conflicts_asked", QuestionRow)

    def note(self, entry: Base, sha256: str, *, is_decided: bool = False) -> None:
        """Keep that a person was asked about these bytes, or that they decided for them."""
        before = self._table.get(str(entry.id))
        if before is None or before.version != entry.version:
            before = QuestionRow(sha256s=(), version=entry.version)
        decided = (*before.decided, sha256) if is_decided else before.decided
        now = QuestionRow(
            sha256s=(*before.sha256s, sha256), version=entry.version, decided=decided
        )
        self._table.put(str(entry.id), now)

    def rows(self) -> list[tuple[UUID, QuestionRow]]:
        """All that is kept, by document."""
        return [(UUID(key), row) for key, row in self._table.items()]

    def forget_bytes(self, document_id: UUID, sha256: str) -> None:
        """Drop some bytes: they are asked about again."""
        row = self._table.get(str(document_id))
        if row is None:
            return
        left = tuple(one for one in row.sha256s if one != sha256)
        decided = tuple(one for one in row.decided if one != sha256)
        if left:
            kept = QuestionRow(sha256s=left, version=row.version, decided=decided)
            self._table.put(str(document_id), kept)
        else:
            self._table.delete(str(document_id))

    def forget(self, document_id: UUID) -> None:
        """Drop all about a document: it is asked about again."""
        self._table.delete(str(document_id))

    def was_asked(self, entry: Base, sha256: str) -> bool:
        """Whether a person was asked about these bytes in the place of this version.

        A person who brings just them back is not asked about them again.
        """
        row = self._row(entry)
        return row is not None and sha256 in row.sha256s

    def was_decided(self, entry: Base, sha256: str) -> bool:
        """Whether they decided for these bytes then, which are not pushed yet."""
        row = self._row(entry)
        return row is not None and sha256 in row.decided

    def _row(self, entry: Base) -> QuestionRow | None:
        row = self._table.get(str(entry.id))
        return row if row is not None and row.version == entry.version else None
