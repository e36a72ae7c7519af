"""The replica: documents to read and to change at any time, and runs that bring them in step."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import partial
from uuid import UUID, uuid4

from syncapi.client.api.client import Client
from syncapi.client.errors import SyncError
from syncapi.client.follower.follower import Follower
from syncapi.client.replica.conflict_handler import Settling
from syncapi.client.replica.conflicts import (
    Choice,
    Strategy,
    conflict_of,
    default_strategy,
    settlement,
)
from syncapi.client.replica.editor import Editing
from syncapi.client.replica.failures import Failures
from syncapi.client.replica.fetcher import Fetching
from syncapi.client.replica.held_content import HeldContent
from syncapi.client.replica.holder import ReplicaHolder
from syncapi.client.replica.losses import Losses
from syncapi.client.replica.outbox import Outbox
from syncapi.client.replica.records import ConflictRecord, FailureRecord, PendingChange
from syncapi.client.replica.results import SyncResult, Tally
from syncapi.client.replica.sender import Sending
from syncapi.client.replica.tables import Tables
from syncapi.client.store.store import Store
from syncapi.client.transfer.contents import AnyContent, Content
from syncapi.client.transfer.downloads import Downloader
from syncapi.protocol.documents import Document


def utc_now() -> datetime:
    return datetime.now(UTC)


class Replica:
    """A tenant's documents in a store of one's own.

    Reading and changing need no network; `sync` pushes what was changed here and pulls what was
    changed there. It may be cut short at any point, by a crash too: the next one goes on.
    """

    def __init__(
        self,
        client: Client,
        store: Store,
        *,
        strategy: Strategy = default_strategy,
        make_id: Callable[[], UUID] = uuid4,
        clock: Callable[[], datetime] = utc_now,
        per_page: int = 500,
    ) -> None:
        """Open the replica of a store.

        Args:
            client: of the tenant whose documents they are.
            store: this replica's own.
            strategy: settles conflicts as they are met.
            make_id: of documents and changes that are made here.
            clock: the time of day, with its zone.
            per_page: documents of a page, 1 to 500.
        """
        self.strategy = strategy
        self._tables = tables = Tables.of(store)
        self._failures = failures = Failures(tables, clock)
        self._outbox = outbox = Outbox(tables, make_id)
        self._fetching = fetching = Fetching(tables, Downloader(client), failures, clock)
        self._settling = settling = Settling(tables, outbox, failures, make_id, clock)
        losses = Losses(tables, outbox, settling, make_id)
        holder = ReplicaHolder(tables, settling, fetching, losses)
        self._follower = Follower(client, store, holder, per_page=per_page)
        remote = self._follower.remote
        self._sending = Sending(client, tables, outbox, remote, settling, losses, failures)
        self._editing = Editing(tables, outbox, make_id, clock)

    # Reading.

    def documents(self) -> list[Document]:
        """The documents as they look here: the server's, with what was changed here laid over."""
        held = dict(self._tables.documents.items())
        queues = (self._tables.outbox, self._tables.later, self._tables.conflicts)
        changed = {key for queue in queues for key, _ in queue.items()}
        found = (
            self.document(UUID(key)) if key in changed else held[key]
            for key in sorted(changed | set(held))
        )
        return [document for document in found if document is not None]

    def document(self, document_id: UUID) -> Document | None:
        """One document; None if there is none, or no more."""
        return self._editing.look_at(document_id)

    def content(self, document_id: UUID) -> Content | None:
        """The bytes of a document; None if they have not come yet, or are not kept here.

        They are those of this moment. Once a run has replaced and tidied them, to open them raises
        `ContentReplaced`; a stream that is open already stays readable.
        """
        document = self.document(document_id)
        if document is None or not self._tables.store.blobs.has(document.file.sha256_hash):
            return None
        return HeldContent(self._tables, document.file.sha256_hash, document.file.file_size)

    def remote(self) -> Iterator[Document]:
        """The live documents, as the server last sent them."""
        return self._follower.documents()

    def pending(self) -> list[PendingChange]:
        """What was changed here and is not pushed yet."""
        waiting = [*self._tables.outbox.values(), *self._tables.later.values()]
        return sorted(waiting, key=lambda change: (change.queued_at, change.id))

    def conflicts(self) -> list[ConflictRecord]:
        """The open ones. Both versions are kept until `resolve` is called."""
        return list(self._tables.conflicts.values())

    def settled(self) -> list[ConflictRecord]:
        """Conflicts of the last 30 days of which something written here did not win."""
        return list(self._tables.settled.values())

    def failures(self) -> list[FailureRecord]:
        """What did not work, and is tried again at the next run."""
        return list(self._tables.failures.values())

    @property
    def cursor(self) -> str | None:
        """What to poll with; None unless the last run came to its end."""
        return self._follower.cursor

    # Changing. Nothing is sent before the next run.

    def create(
        self,
        filename: str,
        content: AnyContent,
        *,
        mime_type: str | None = None,
        folder: str = "",
        id: UUID | None = None,  # noqa: A002 - as the document's own field
    ) -> Document:
        """Make a document.

        Args:
            filename: as the server takes it; it need not be unique.
            content: copied into the store. It blocks: for large files, call it in a thread.
            mime_type: else that of the name's extension.
            folder: '' for the root.
            id: else a new one.

        Raises:
            SyncError: a name that no document can have, or an id that one has already.
            SourceChanged: the content changed while it was copied.
        """
        return self._editing.create(
            id, content, folder=folder, filename=filename, mime_type=mime_type
        )

    def update(
        self,
        document_id: UUID,
        *,
        filename: str | None = None,
        folder: str | None = None,
        mime_type: str | None = None,
        content: AnyContent | None = None,
    ) -> Document:
        """Change what is given of a document.

        Raises:
            SyncError: there is no such document, or a name is none.
            SourceChanged: the content changed while it was copied.
        """
        fields = {"filename": filename, "folder": folder, "mime_type": mime_type}
        return self._editing.update(document_id, content, fields)

    def delete(self, document_id: UUID) -> None:
        """Delete a document. Raises `SyncError` if there is none."""
        self._editing.delete(document_id)

    def revert(self, document_id: UUID) -> None:
        """Give up what was changed here of a document, such as what the server refuses.

        What may have arrived already is not taken back: then the next pull brings it. A version
        that the server has lost is given up only where nothing was changed here besides.
        """
        with self._tables.store.transaction():
            self._outbox.give_up(document_id)
            self._tables.conflicts.delete(str(document_id))
            self._failures.clear(document_id)

    def resolve(self, document_id: UUID, choice: Choice) -> None:
        """Settle an open conflict; the next run pushes what comes of it.

        Args:
            document_id: which conflict.
            choice: whose version it becomes, or ``both`` for a second document with mine. A
                mapping says it field by field: of `folder`, `filename` and `mime_type` the new
                text, of `content` ``mine`` or ``theirs``. What it leaves out stays the server's.

        Raises:
            SyncError: there is no such conflict, or nothing of the kind to choose.
        """
        with self._tables.store.transaction():
            record = self._tables.conflicts.get(str(document_id))
            if record is None:
                raise SyncError(f"There is no open conflict about document {document_id}.")
            self._settling.settle(document_id, settlement(conflict_of(record), choice))

    # Runs. One at a time over all processes: they raise `StoreBusy` otherwise, `Unreachable`
    # without an answer, and `ApiError` where the server refuses all.

    def exclusively(self) -> AbstractContextManager[None]:
        """Keep other runs out over several of one's own. Raises `StoreBusy`."""
        return self._follower.exclusively()

    async def sync(self) -> SyncResult:
        """Push what was changed here, then pull what was changed there."""
        tally = Tally()
        with self.exclusively():
            await self._sending.run(self.strategy, tally)
            await self._pull(tally)
            if tally.resynced != "no" or tally.is_unexplained:  # it knows better what to push
                await self._sending.run(self.strategy, tally, is_informed=True)
            await self._fetching.tidy()
        return tally.result()

    async def pull(self) -> SyncResult:
        """Pull what was changed there; what was changed here waits."""
        tally = Tally()
        with self.exclusively():
            await self._pull(tally)
            await self._fetching.tidy()
        return tally.result()

    async def push(self) -> SyncResult:
        """Push what was changed here, and no more."""
        tally = Tally()
        with self.exclusively():
            await self._sending.run(self.strategy, tally)
            await self._fetching.tidy()
        return tally.result()

    # After a loss of the server's: versions whose bytes had not come yet.

    def lost(self) -> dict[UUID, datetime]:
        """Documents that were held in a version that the server has lost, and which one it was."""
        return self._follower.lost()

    def settle_lost(self, document_ids: Iterable[UUID]) -> None:
        """Forget of these that they were lost."""
        self._follower.settle_lost(document_ids)

    async def _pull(self, tally: Tally) -> None:
        await self._follower.pull(tally, partial(self._fetching.fetch, tally=tally))
        await self._fetching.fetch_rest(tally)
