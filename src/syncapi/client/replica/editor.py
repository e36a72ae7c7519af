"""Changes that are made here: checked, then queued with their content."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from syncapi.client.errors import SyncError
from syncapi.client.follower.values import values_of
from syncapi.client.replica.outbox import Outbox
from syncapi.client.replica.overlay import seen
from syncapi.client.replica.records import ContentHash, PendingChange
from syncapi.client.replica.tables import Tables
from syncapi.client.transfer.contents import AnyContent, content_of
from syncapi.protocol.documents import Document
from syncapi.protocol.filenames import filename_fault, folder_fault
from syncapi.protocol.media_types import media_type_fault, media_type_of
from syncapi.protocol.versions import NO_VERSION


class _Sight(NamedTuple):
    """A document as it was when its edit began.

    Attributes:
        seen: with what was changed here laid over it.
        held: the server's version, if that is all that was seen.
    """

    seen: Document
    held: Document | None


class Editing:
    """Queues what is changed here. Nothing is sent.

    What a change is based on, and whether it is folded into another one, is decided in the
    transaction that queues it: runs of this and of other processes go on meanwhile.
    """

    def __init__(
        self,
        tables: Tables,
        outbox: Outbox,
        make_id: Callable[[], UUID],
        clock: Callable[[], datetime],
    ) -> None:
        self._tables = tables
        self._outbox = outbox
        self._make_id = make_id
        self._clock = clock

    def look_at(self, document_id: UUID) -> Document | None:
        """A document as it looks here: while a conflict is open, as it was changed here."""
        conflict = self._tables.conflicts.get(str(document_id))
        if conflict is not None:
            return seen(conflict.mine.base, self._tables.changes_of(document_id))
        held = self._tables.documents.get(str(document_id))
        return seen(held, self._tables.changes_of(document_id))

    def create(
        self,
        document_id: UUID | None,
        content: AnyContent,
        *,
        folder: str,
        filename: str,
        mime_type: str | None,
    ) -> Document:
        kind = mime_type or media_type_of(filename)
        fields = {"folder": folder, "filename": filename, "mime_type": kind}
        _check(fields)
        made = document_id or self._make_id()
        self._refuse_taken(made)
        with self._copied(content) as kept, self._tables.store.transaction():
            self._refuse_taken(made)
            base = self._tables.documents.get(str(made))  # of one that was deleted here just now
            self._queue(made, "create", base, {**fields, "content": kept})
            return self._looked_at(made)

    def update(
        self, document_id: UUID, content: AnyContent | None, fields: dict[str, str | None]
    ) -> Document:
        given = {name: value for name, value in fields.items() if value is not None}
        _check(given)
        sight = self._sight(document_id)
        with self._copied(content) as kept, self._tables.store.transaction():
            base, before = self._under_the_edit(sight)
            values = values_of(before)
            changed = {name: value for name, value in given.items() if value != values[name]}
            if changed or kept is not None:
                self._queue(document_id, "update", base, {**changed, "content": kept})
            return self._looked_at(document_id)

    def delete(self, document_id: UUID) -> None:
        with self._tables.store.transaction():
            self._looked_at(document_id)
            self._queue(document_id, "delete", self._tables.documents.get(str(document_id)), {})

    @contextmanager
    def _copied(self, content: AnyContent | None) -> Iterator[ContentHash | None]:
        """Copy a content in; nothing takes it away before the block has named it.

        This may take long, and runs go on meanwhile: what was read before may be old by then.
        """
        if content is None:
            yield None
            return
        with self._tables.store.blobs.adding(content_of(content)) as digest:
            self._tables.note_untidy()  # should the block not come to name it
            yield ContentHash.of(digest)

    def _sight(self, document_id: UUID) -> _Sight:
        """What a person who edits a document has before their eyes."""
        with self._tables.store.transaction():
            is_changed = bool(self._tables.changes_of(document_id))
            held = self._tables.documents.get(str(document_id))
            return _Sight(self._looked_at(document_id), None if is_changed else held)

    def _under_the_edit(self, sight: _Sight) -> tuple[Document | None, Document]:
        """The base of an edit of what was seen, and the document that the edit is laid over.

        A run may have pushed what was seen, which makes it the base. Where it has brought what
        others wrote since, the edit is of the version before that: the server finds the conflict.
        """
        seen_before, held_before = sight
        key = str(seen_before.id)
        held = self._tables.documents.get(key)
        if self._tables.changes_of(seen_before.id):  # what waits has a base of its own
            return held, self._looked_at(seen_before.id)
        if held is not None and values_of(held) == values_of(seen_before):
            return held, held
        if held_before is not None:
            return held_before, held_before
        if held is None:
            return held, self._looked_at(seen_before.id)  # which raises
        # Its version is not known any more: the server will know no common past either.
        return seen_before.model_copy(update={"updated_at": NO_VERSION}), seen_before

    def _queue(
        self, document_id: UUID, op: str, base: Document | None, fields: Mapping[str, object]
    ) -> None:
        change = {
            "change_id": self._make_id(),
            "id": document_id,
            "op": op,
            "base": base,
            "base_updated_at": None if base is None else base.updated_at,
            "queued_at": self._clock(),
            **fields,
        }
        self._outbox.queue(PendingChange.model_validate(change))

    def _refuse_taken(self, document_id: UUID) -> None:
        if self.look_at(document_id) is not None:
            raise SyncError(f"There is a document {document_id} already.", hint="Update it.")

    def _looked_at(self, document_id: UUID) -> Document:
        document = self.look_at(document_id)
        if document is None:
            raise SyncError(
                f"There is no document {document_id} here.",
                hint="It may have been deleted, here or on the server.",
            )
        return document


def _check(fields: dict[str, str]) -> None:
    """Refuse what the server would refuse, while the caller can still correct it."""
    for name, value in fields.items():
        fault = _fault(name, value)
        if fault is not None:
            raise SyncError(f"{name} {value!r}: {fault}")


def _fault(name: str, value: str) -> str | None:
    if name == "filename":
        return filename_fault(value)
    return media_type_fault(value) if name == "mime_type" else folder_fault(value)
