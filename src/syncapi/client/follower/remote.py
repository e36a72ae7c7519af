"""The server's documents, as they are taken over."""

from collections.abc import Container
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from syncapi.client.follower.holder import Holder
from syncapi.client.follower.machine import WentBack, step
from syncapi.client.follower.pulled import Pulled
from syncapi.client.follower.records import Pushed
from syncapi.client.follower.tables import FollowerTables
from syncapi.protocol.documents import Document
from syncapi.protocol.sync import SyncedDocument, SyncPage

LATEST: Final = datetime.max.replace(tzinfo=UTC)


class Remote:
    """Takes documents over. Every method is part of the caller's transaction.

    Attributes:
        urls: of contents that this run has brought, while they are good; by document.
    """

    def __init__(self, tables: FollowerTables, holder: Holder) -> None:
        self._tables = tables
        self._holder = holder
        self.urls: dict[UUID, str] = {}

    def superseded(self, page: SyncPage) -> list[Document]:
        """Versions that were pushed, and that a page brings a later one or a tombstone of.

        The page does not say whether that came after the pushed version, or in its place.
        """
        live = {document.id: document.updated_at for document in (*page.added, *page.modified)}
        found = []
        for document_id in (*live, *(tombstone.id for tombstone in page.deleted)):
            pushed = self._tables.unconfirmed.get(str(document_id))
            held = self._tables.documents.get(str(document_id))
            if pushed is None or held is None or pushed.version != held.updated_at:
                continue
            if live.get(document_id, LATEST) > held.updated_at:
                found.append(held)
        return found

    def apply(self, page: SyncPage, lost: Container[UUID], pulled: Pulled) -> list[Document]:
        """Take a page over, but for documents whose pushed version is lost.

        Returns:
            The documents that it brought.
        """
        self._tables.note_time(page.server_time)
        live = (*page.added, *page.modified)
        brought = [self._bring(document, lost, pulled) for document in live]
        for tombstone in page.deleted:
            if tombstone.id in lost:
                self._note_lost(tombstone.id)
                continue
            self._tables.unconfirmed.delete(str(tombstone.id))
            self.drop(tombstone.id, pulled)
        return brought

    def shadow(self, page: SyncPage) -> None:
        """Keep a page beside the documents."""
        self._tables.note_time(page.server_time)
        for document in (*page.added, *page.modified):
            self._tables.shadow.put(str(document.id), plain(document))

    def put(self, document: Document, pulled: Pulled | None) -> None:
        """Store a live document. What others did is counted as ``pulled``, nothing else is."""
        key = str(document.id)
        held = self._tables.documents.get(key)
        if held == document:
            return
        self._tables.documents.put(key, document)
        self._holder.put(document, held)
        if pulled is not None:
            pulled.upserted(document, is_new=held is None)

    def drop(
        self, document_id: UUID, pulled: Pulled | None, server: Document | None = None
    ) -> None:
        """Forget a document that the server has deleted."""
        key = str(document_id)
        held = self._tables.documents.get(key)
        self._holder.drop(document_id, held, server)
        if held is None:
            return
        self._tables.documents.delete(key)
        if pulled is not None:
            pulled.dropped(document_id)

    def answered(
        self, document_id: UUID, document: Document | None, *, has_overwritten: bool = False
    ) -> None:
        """Store what the answer to a push says of a document, until the feed brings it too.

        Args:
            document_id: of which document.
            document: as the server has it now; None if it has none.
            has_overwritten: the version that is held is lost, and that of the answer is later.
        """
        key = str(document_id)
        held = self._tables.documents.get(key)
        if document is None or document == held:
            if document is None:
                self.drop(document_id, None)
            return
        if held is not None and held.updated_at > document.updated_at and not has_overwritten:
            return  # it went back: for a resync to look at
        if document.is_deleted and held is None:
            return
        self._tables.unconfirmed.put(key, Pushed(version=document.updated_at))
        if document.is_deleted:
            self.drop(document_id, None, document)
        else:
            self.put(document, None)

    def note_that_it_went_back(self) -> None:
        """The server has lost a version: until a resync, no conflict with it can be judged."""
        self._tables.keep(step(self._tables.machine, WentBack()).state)
        self.expect_pushed()
        self._tables.shadow.clear()

    def expect_pushed(self) -> None:
        """A run begins: all that was pushed until now must come in it."""
        for key, pushed in list(self._tables.unconfirmed.items()):
            if not pushed.is_due:
                due = pushed.model_copy(update={"is_due": True})
                self._tables.unconfirmed.put(key, due)

    def unbrought(self) -> list[UUID]:
        """What should have come in the run that has just ended, and did not."""
        return [UUID(key) for key, pushed in self._tables.unconfirmed.items() if pushed.is_due]

    def confirm_deletions(self) -> None:
        """A first run brings no tombstones: what was deleted here and not brought is deleted."""
        for document_id in self.unbrought():
            key = str(document_id)
            pushed = self._tables.unconfirmed.get(key)
            is_gone = pushed is not None and not pushed.is_lost
            if is_gone and self._tables.documents.get(key) is None:
                self._tables.unconfirmed.delete(key)

    def _note_lost(self, document_id: UUID) -> None:
        """Note that a pushed version is lost, which is acted on at the run's end."""
        lost = {"is_due": True, "is_lost": True}
        pushed = self._tables.unconfirmed.get(str(document_id))
        if pushed is not None:
            self._tables.unconfirmed.put(str(document_id), pushed.model_copy(update=lost))

    def _bring(self, synced: SyncedDocument, lost: Container[UUID], pulled: Pulled) -> Document:
        key, document = str(synced.id), plain(synced)
        pushed = self._tables.unconfirmed.get(key)
        if pushed is not None and (pushed.version > document.updated_at or synced.id in lost):
            self._note_lost(synced.id)
            return document
        if pushed is not None:
            self._tables.unconfirmed.delete(key)
        self.put(document, pulled)
        if synced.download_url is not None:
            self.urls[synced.id] = synced.download_url
        return document


def plain(document: Document) -> Document:
    """Without what is good for an hour."""
    return Document.model_validate(document.model_dump(exclude={"download_url"}))
