"""The server's documents, as they are taken over into the replica."""

from uuid import UUID

from syncapi.client.replica.fetching import Fetching
from syncapi.client.replica.machine import WentBack, step
from syncapi.client.replica.records import Pushed
from syncapi.client.replica.results import Tally
from syncapi.client.replica.settling import Settling
from syncapi.client.replica.tables import Tables
from syncapi.wire.documents import Document
from syncapi.wire.sync import SyncedDocument, SyncPage


class Remote:
    """Takes documents over. Every method is part of the caller's transaction.

    Attributes:
        urls: of contents that this run has brought, while they are good; by document.
    """

    def __init__(self, tables: Tables, fetching: Fetching | None, settling: Settling) -> None:
        self._tables = tables
        self._fetching = fetching
        self._settling = settling
        self.urls: dict[UUID, str] = {}

    def apply(self, page: SyncPage, tally: Tally) -> list[Document]:
        """Take a page over; returns the documents that it brought."""
        self._tables.note_time(page.server_time)
        brought = [self._bring(document, tally) for document in (*page.added, *page.modified)]
        for tombstone in page.deleted:
            self._tables.unconfirmed.delete(str(tombstone.id))
            self.drop(tombstone.id, tally)
        return brought

    def shadow(self, page: SyncPage) -> None:
        """Keep a page beside the documents."""
        self._tables.note_time(page.server_time)
        for document in (*page.added, *page.modified):
            self._tables.shadow.put(str(document.id), plain(document))

    def put(self, document: Document, tally: Tally | None) -> None:
        """Store a live document. The tally is of what others did; without one it is untold."""
        key = str(document.id)
        held = self._tables.documents.get(key)
        if held == document:
            return
        if held is not None and held.file.sha256_hash != document.file.sha256_hash:
            self._tables.note_untidy()
        self._tables.documents.put(key, document)
        self._settling.follow(document.id, document)
        if self._fetching is not None:
            self._fetching.want(document, is_new=held is None)
        if tally is not None:
            tally.upserted(document, is_new=held is None)

    def drop(self, document_id: UUID, tally: Tally | None, server: Document | None = None) -> None:
        """Forget a document that the server has deleted."""
        key = str(document_id)
        self._settling.follow(document_id, server)
        self._tables.wanted.delete(key)
        if self._tables.documents.get(key) is None:
            return
        self._tables.documents.delete(key)
        self._tables.note_untidy()
        if not self._tables.changes_of(document_id):
            self._tables.failures.delete(key)
        if tally is not None:
            tally.dropped(document_id)

    def answered(self, document_id: UUID, document: Document | None) -> None:
        """Store what a push was told of a document, until the feed brings it too."""
        key = str(document_id)
        held = self._tables.documents.get(key)
        if document is None or document == held:
            if document is None:
                self.drop(document_id, None)
            return
        if held is not None and held.updated_at > document.updated_at:
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

    def drop_unbrought(self, tally: Tally) -> None:
        """A first run tells of no deletions: what it did not bring is one."""
        for document_id in self.unbrought():
            self._tables.unconfirmed.delete(str(document_id))
            self.drop(document_id, tally)

    def _bring(self, synced: SyncedDocument, tally: Tally) -> Document:
        key, document = str(synced.id), plain(synced)
        pushed = self._tables.unconfirmed.get(key)
        if pushed is not None and pushed.version > document.updated_at:
            return document  # it went back, which is noticed at the run's end
        if pushed is not None:
            self._tables.unconfirmed.delete(key)
        self.put(document, tally)
        if synced.download_url is not None:
            self.urls[synced.id] = synced.download_url
        return document


def plain(document: Document) -> Document:
    """Without what is good for an hour."""
    return Document.model_validate(document.model_dump(exclude={"download_url"}))
