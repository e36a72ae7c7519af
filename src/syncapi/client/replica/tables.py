"""The tables of a replica."""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from syncapi.client.follower.records import LostVersion
from syncapi.client.follower.tables import STATE
from syncapi.client.replica.records import (
    ConflictRecord,
    FailureRecord,
    PendingChange,
    Tidiness,
    Wanted,
)
from syncapi.client.store.store import Store
from syncapi.client.store.tables import Table
from syncapi.protocol.documents import Document

_KEY = "contents"


@dataclass(frozen=True, slots=True)
class Tables:
    """All of them have document ids as keys, but for `settled`, which has the order of time.

    Attributes:
        documents: the live documents, as the server last sent them.
        shadow: those that a resync has brought so far.
        outbox: of each document the change that is sent next, or may have been sent.
        later: of each document what was changed after that one had been sent.
        settled: conflicts that went against the change made here, kept for a while.
        lost: versions that the server has lost, and whose bytes had not come yet.
    """

    store: Store
    documents: Table[Document]
    shadow: Table[Document]
    outbox: Table[PendingChange]
    later: Table[PendingChange]
    conflicts: Table[ConflictRecord]
    settled: Table[ConflictRecord]
    failures: Table[FailureRecord]
    wanted: Table[Wanted]
    lost: Table[LostVersion]
    _tidiness: Table[Tidiness]

    @classmethod
    def of(cls, store: Store) -> "Tables":
        return cls(
            store,
            documents=store.table("documents", Document),
            shadow=store.table("shadow", Document),
            outbox=store.table("outbox", PendingChange),
            later=store.table("later", PendingChange),
            conflicts=store.table("conflicts", ConflictRecord),
            settled=store.table("settled", ConflictRecord),
            failures=store.table("failures", FailureRecord),
            wanted=store.table("wanted", Wanted),
            lost=store.table("lost", LostVersion),
            _tidiness=store.table(STATE, Tidiness),
        )

    @property
    def tidiness(self) -> Tidiness:
        return self._tidiness.get(_KEY) or Tidiness()

    def note_untidy(self) -> None:
        """Remember that contents may have become needless, so that a crash forgets it not."""
        if not self.tidiness.is_untidy:
            self._change(is_untidy=True)

    def begin_to_tidy(self) -> bool:
        """Whether there may be needless contents. What becomes so from now on is noted anew."""
        tidiness = self.tidiness
        if tidiness.is_untidy:
            self._change(is_untidy=False, is_tidying=True)
        return tidiness.is_untidy or tidiness.is_tidying

    def end_tidying(self) -> None:
        self._change(is_tidying=False)

    def changes_of(self, document_id: UUID) -> list[PendingChange]:
        """What was changed here and has not come to rest, in order."""
        key = str(document_id)
        conflict = self.conflicts.get(key)
        if conflict is not None:
            return [conflict.mine]  # what is queued beside it brings the other side back
        waiting = [self.outbox.get(key), self.later.get(key)]
        return [change for change in waiting if change is not None]

    def contents_of_documents(self) -> Iterator[str]:
        """SHA-256 of every content that the server's documents have; only runs change them."""
        for table in (self.documents, self.shadow):
            yield from (document.file.sha256_hash for document in table.values())

    def contents_of_edits(self) -> Iterator[str]:
        """SHA-256 of every content that something else refers to, which may change at any time."""
        for queue in (self.outbox, self.later):
            for change in queue.values():
                yield from _contents(change)
        for conflict in self.conflicts.values():
            yield from _contents(conflict.mine)
            if conflict.server is not None:
                yield conflict.server.file.sha256_hash
        for settled in self.settled.values():
            yield from _contents(settled.mine)

    def contents_held(self) -> set[str]:
        """SHA-256 of every content that must be there: all in use but for what is to come yet."""
        wanted = {missing.sha256 for missing in self.wanted.values()}
        return {*self.contents_of_documents(), *self.contents_of_edits()} - wanted

    def _change(self, **fields: object) -> None:
        with self.store.transaction():
            self._tidiness.put(_KEY, self.tidiness.model_copy(update=fields))


def _contents(change: PendingChange) -> Iterator[str]:
    if change.content is not None:
        yield change.content.sha256
    if change.base is not None:
        yield change.base.file.sha256_hash
