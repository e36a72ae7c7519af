"""Queued changes as the server takes them. Pure."""

from uuid import UUID

from pydantic import TypeAdapter

from syncapi.client.replica.overlay import changed_fields
from syncapi.client.replica.records import PendingChange
from syncapi.wire.base import format_time
from syncapi.wire.documents import Document
from syncapi.wire.push import PushedChange

_CHANGE: TypeAdapter[PushedChange] = TypeAdapter(PushedChange)


def pushed_change(change: PendingChange, file_id: UUID | None) -> PushedChange:
    """What is sent for a change; ``file_id`` is of its content, where that changed."""
    sent: dict[str, object] = {"op": change.op, "change_id": change.change_id, "id": change.id}
    if change.op != "delete":
        names = ("folder", "filename", "mime_type")
        fields = {name: getattr(change, name) for name in names}
        sent |= {name: value for name, value in fields.items() if value is not None}
    if file_id is not None:
        sent["file_id"] = file_id
    if change.base_updated_at is not None:
        sent["base_updated_at"] = format_time(change.base_updated_at)
    return _CHANGE.validate_python(sent)


def is_as_changed(document: Document, change: PendingChange) -> bool:
    """Whether a document is what a change makes of its base: nobody has changed it since."""
    if change.op == "delete":
        return document.is_deleted
    wanted = changed_fields(change)
    if change.base is not None:
        names = ("folder", "filename", "mime_type", "file")
        wanted = {**{name: getattr(change.base, name) for name in names}, **wanted}
    file = wanted.pop("file", document.file)
    same_file = getattr(file, "sha256_hash", None) == document.file.sha256_hash
    same = all(getattr(document, name) == value for name, value in wanted.items())
    return same and same_file and not document.is_deleted
