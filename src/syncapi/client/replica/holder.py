"""What a replica does with what the server says: conflicts follow it, contents are fetched."""

from collections.abc import Collection
from uuid import UUID

from syncapi.client.replica.conflict_handler import Settling
from syncapi.client.replica.fetcher import Fetching
from syncapi.client.replica.losses import Losses
from syncapi.client.replica.tables import Tables
from syncapi.protocol.documents import Document


class ReplicaHolder:
    """The replica's side of its follower; see `Holder`."""

    def __init__(
        self, tables: Tables, settling: Settling, fetching: Fetching, losses: Losses
    ) -> None:
        self._tables = tables
        self._settling = settling
        self._fetching = fetching
        self._losses = losses

    def put(self, document: Document, before: Document | None) -> None:
        if before is not None and before.file.sha256_hash != document.file.sha256_hash:
            self._tables.note_untidy()
        self._settling.follow(document.id, document)
        self._fetching.want(document, is_new=before is None)

    def drop(self, document_id: UUID, before: Document | None, there: Document | None) -> None:
        key = str(document_id)
        self._settling.follow(document_id, there)
        self._tables.wanted.delete(key)
        if before is None:
            return
        self._tables.note_untidy()
        if not self._tables.changes_of(document_id):
            self._tables.failures.delete(key)

    def keep_lost(self, held: Document, there: Document | None) -> None:
        self._losses.keep(held, there)

    def edited_versions(self) -> Collection[Document]:
        changes = self._tables.outbox.values()
        return [change.base for change in changes if change.base is not None]
