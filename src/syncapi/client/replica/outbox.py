"""The queue of changes that were made here.

Of each document one change is at the head, to be sent next or sent already; what is changed after
that waits as one further change. A head that was never sent takes later changes in.
"""

from collections.abc import Callable
from uuid import UUID

from syncapi.client.replica.coalesce import fold, without_effect
from syncapi.client.replica.overlay import changed_fields
from syncapi.client.replica.records import ConflictRecord, ContentHash, PendingChange
from syncapi.client.replica.tables import Tables
from syncapi.protocol.documents import Document
from syncapi.protocol.push import MOST_CHANGES


class Outbox:
    """Every method is one transaction, or part of the caller's."""

    def __init__(self, tables: Tables, make_id: Callable[[], UUID]) -> None:
        self._tables = tables
        self._make_id = make_id

    def queue(self, change: PendingChange) -> None:
        """Take a change in, behind what is queued of the document or folded with it."""
        key = str(change.id)
        with self._tables.store.transaction():
            self._tables.note_untidy()
            conflict = self._tables.conflicts.get(key)
            head = self._tables.outbox.get(key)
            if conflict is not None:
                self._queue_in_conflict(conflict, change)
            elif head is None:
                self._tables.outbox.put(key, change)
            elif head.is_sent or head.is_lost:
                self._queue_later(change)
            else:
                self._put_head(key, fold(head, change))

    def batch(self, without: set[UUID]) -> list[PendingChange]:
        """What can be sent now, oldest first; all of it with one `on_conflict`."""
        heads = [change for change in self._tables.outbox.values() if change.id not in without]
        if not heads:
            return []
        heads.sort(key=lambda change: (change.queued_at, change.id))
        way = heads[0].on_conflict
        return [change for change in heads if change.on_conflict == way][:MOST_CHANGES]

    def mark_sent(self, changes: list[PendingChange]) -> list[PendingChange]:
        """Note that changes may arrive from now on. Those that were altered meanwhile stay."""
        sent = []
        with self._tables.store.transaction():
            for change in changes:
                if self._tables.outbox.get(str(change.id)) == change:
                    sent.append(change.model_copy(update={"is_sent": True}))
                    self._tables.outbox.put(str(change.id), sent[-1])
        return sent

    def is_head(self, change: PendingChange) -> bool:
        """Whether it is still the one at the head of its document's queue."""
        head = self._tables.outbox.get(str(change.id))
        return head is not None and head.change_id == change.change_id

    def release(self, change: PendingChange) -> None:
        """Note that a change was refused for certain: it may be altered again."""
        key = str(change.id)
        free = change.model_copy(update={"is_sent": False, "change_id": self._make_id()})
        if change.is_lost:
            self._tables.outbox.put(key, free)
            return
        later = self._tables.later.get(key)
        self._tables.later.delete(key)
        self._put_head(key, free if later is None else fold(free, later))

    def advance(
        self, change: PendingChange, document: Document | None, made: Document | None = None
    ) -> None:
        """Take an answered change off, and let the next one follow.

        Args:
            change: the one at the head.
            document: as the server has it now; None if it has none.
            made: the version that `change` became, where the server's is a later one.
        """
        key = str(change.id)
        later = self._tables.later.get(key)
        self._tables.outbox.delete(key)
        self._tables.later.delete(key)
        self._tables.note_untidy()
        if later is not None:
            self._put_head(key, self._rebased(later, change, made or document))

    def take_off(self, document_id: UUID) -> PendingChange | None:
        """Take all that is queued of a document off, made into one."""
        key = str(document_id)
        head, later = self._tables.outbox.get(key), self._tables.later.get(key)
        self._tables.outbox.delete(key)
        self._tables.later.delete(key)
        self._tables.note_untidy()
        return head if head is None or later is None else fold(head, later)

    def give_up(self, document_id: UUID) -> None:
        """Take off what was changed here; a lost version too, if there is nothing else."""
        key = str(document_id)
        head = self._tables.outbox.get(key)
        has_more = self._tables.later.get(key) or self._tables.conflicts.get(key)
        self.take_off(document_id)
        if head is not None and head.is_lost and has_more is not None:
            self._tables.outbox.put(key, head)

    def put(self, change: PendingChange) -> None:
        """Queue a change that settles something, where nothing of its document is queued."""
        self._put_head(str(change.id), change)

    def follow(self, change: PendingChange | None) -> None:
        """Queue a change behind the one that brings a lost version back, if there is one."""
        if change is None:
            return
        if self._tables.outbox.get(str(change.id)) is None:
            self.put(change)
        else:
            self._queue_later(change)

    def _put_head(self, key: str, change: PendingChange | None) -> None:
        if change is not None and self._is_of_what_is_held(change):
            change = without_effect(change)
        if change is None:
            self._tables.outbox.delete(key)
        else:
            self._tables.outbox.put(key, change)

    def _is_of_what_is_held(self, change: PendingChange) -> bool:
        held = self._tables.documents.get(str(change.id))
        return held is not None and change.base == held

    def _queue_later(self, change: PendingChange) -> None:
        key = str(change.id)
        waiting = self._tables.later.get(key)
        folded = change if waiting is None else _fold_unbased(waiting, change)
        if folded is None:
            self._tables.later.delete(key)
        else:
            self._tables.later.put(key, folded)

    def _queue_in_conflict(self, conflict: ConflictRecord, change: PendingChange) -> None:
        key = str(change.id)
        folded = fold(conflict.mine, change)
        if folded is None:  # made here and deleted again: there is nothing to settle
            self._tables.conflicts.delete(key)
        else:
            self._tables.conflicts.put(key, conflict.model_copy(update={"mine": folded}))

    def _rebased(
        self, later: PendingChange, before: PendingChange, document: Document | None
    ) -> PendingChange | None:
        if document is None:
            return self._without_base(later, before)
        based = {"base": document, "base_updated_at": document.updated_at}
        if document.is_deleted and later.op == "delete":
            return None
        if later.op == "create":  # the id is taken, by what was deleted here just before
            based["op"] = "update"
        return later.model_copy(update=based)

    def _without_base(self, later: PendingChange, before: PendingChange) -> PendingChange | None:
        """What follows a document that the server no longer has: it is made again, if at all."""
        if later.op == "delete" or before.op == "delete":
            return None if later.op == "delete" else as_create(later)
        whole = fold(before.model_copy(update={"change_id": later.change_id}), later)
        return None if whole is None else as_create(whole)


def as_create(change: PendingChange) -> PendingChange:
    """A change of what is no more, made into one that brings the whole document back."""
    fields: dict[str, object] = {}
    if change.base is not None:
        names = ("folder", "filename", "mime_type")
        fields = {name: getattr(change.base, name) for name in names}
        fields["content"] = ContentHash.of_file(change.base.file)
    given = changed_fields(change)
    given.pop("file", None)
    if change.content is not None:
        given["content"] = change.content
    back = {"op": "create", "base": None, "base_updated_at": None, "on_conflict": "merge"}
    return change.model_copy(update={**fields, **given, **back})


def _fold_unbased(waiting: PendingChange, change: PendingChange) -> PendingChange | None:
    """Fold two changes that wait behind a third one.

    A create there follows a deletion, so that a deletion after it is that deletion again, which
    is no change at all.
    """
    if waiting.op == "delete" and change.op == "create":
        return change.model_copy(update={"op": "update", "change_id": waiting.change_id})
    return fold(waiting, change)
