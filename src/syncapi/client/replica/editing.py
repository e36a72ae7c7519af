"""Changes that are made here: checked, then queued with their content."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from syncapi.client.errors import SyncError
from syncapi.client.replica.conflicts import values_of
from syncapi.client.replica.outbox import Outbox
from syncapi.client.replica.overlay import seen
from syncapi.client.replica.records import ContentHash, PendingChange
from syncapi.client.replica.tables import Tables
from syncapi.client.transfer.contents import AnyContent, content_of
from syncapi.domain.filenames import filename_fault, folder_fault
from syncapi.domain.media_types import media_type_fault, media_type_of
from syncapi.wire.documents import Document


class Editing:
    """Queues what is changed here. Nothing is sent."""

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
        change = self._change(document_id or self._make_id(), "create", fields)
        if self.look_at(change.id) is not None:
            raise SyncError(f"There is a document {change.id} already.", hint="Update it.")
        self._queue(change, content)
        return self._looked_at(change.id)

    def update(
        self, document_id: UUID, content: AnyContent | None, fields: dict[str, str | None]
    ) -> Document:
        document = self._looked_at(document_id)
        given = {name: value for name, value in fields.items() if value is not None}
        _check(given)
        before = values_of(document)
        changed = {name: value for name, value in given.items() if value != before[name]}
        if changed or content is not None:
            self._queue(self._change(document_id, "update", changed), content)
        return self._looked_at(document_id)

    def delete(self, document_id: UUID) -> None:
        self._looked_at(document_id)
        self._queue(self._change(document_id, "delete", {}), None)

    def _queue(self, change: PendingChange, content: AnyContent | None) -> None:
        blobs = self._tables.store.blobs
        if content is None:
            self._outbox.queue(change)
            return
        source = content_of(content)
        while True:
            kept = ContentHash.of(blobs.add(source))  # may take long: outside the transaction
            with self._tables.store.transaction():
                if blobs.has(kept.sha256):  # else a run has tidied up before anything named it
                    self._outbox.queue(change.model_copy(update={"content": kept}))
                    return

    def _change(self, document_id: UUID, op: str, fields: dict[str, str]) -> PendingChange:
        held = self._tables.documents.get(str(document_id))
        return PendingChange.model_validate(
            {
                "change_id": self._make_id(),
                "id": document_id,
                "op": op,
                "base": held,
                "base_updated_at": None if held is None else held.updated_at,
                "queued_at": self._clock(),
                **fields,
            }
        )

    def _looked_at(self, document_id: UUID) -> Document:
        document = self.look_at(document_id)
        if document is None:
            raise SyncError(
                f"There is no document {document_id} here.",
                hint="It may have been deleted, here or on the server.",
            )
        return document


def _check(fields: dict[str, str]) -> None:
    """Refuse what the server would refuse, while it can be said to whoever wrote it."""
    for name, value in fields.items():
        fault = _fault(name, value)
        if fault is not None:
            raise SyncError(f"{name} {value!r}: {fault}")


def _fault(name: str, value: str) -> str | None:
    if name == "filename":
        return filename_fault(value)
    return media_type_fault(value) if name == "mime_type" else folder_fault(value)
