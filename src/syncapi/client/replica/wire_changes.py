"""Queued changes as the server takes them. Pure."""

from http import HTTPStatus
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from syncapi.client.errors import InvalidRequest
from syncapi.client.replica.overlay import changed_fields
from syncapi.client.replica.records import PendingChange
from syncapi.protocol.base import format_time
from syncapi.protocol.documents import Document
from syncapi.protocol.push import PushedChange

_CHANGE: TypeAdapter[PushedChange] = TypeAdapter(PushedChange)


def pushed_change(change: PendingChange, file_id: UUID | None) -> PushedChange:
    """What is sent for a change; ``file_id`` is of its content, where that changed.

    Raises:
        InvalidRequest: the server would not take it, such as an update without a base.
    """
    sent: dict[str, object] = {"op": change.op, "change_id": change.change_id, "id": change.id}
    if change.op != "delete":
        names = ("folder", "filename", "mime_type")
        fields = {name: getattr(change, name) for name in names}
        sent |= {name: value for name, value in fields.items() if value is not None}
    if file_id is not None:
        sent["file_id"] = file_id
    if change.base_updated_at is not None:
        sent["base_updated_at"] = format_time(change.base_updated_at)
    try:
        return _CHANGE.validate_python(sent)
    except ValidationError as error:
        raise InvalidRequest.told_here(
            HTTPStatus.BAD_REQUEST,
            "invalid_request",
            f"This change cannot be sent: {_faults(error)}.",
            hint="Give it up with `revert`, and make it anew.",
        ) from error


def _faults(error: ValidationError) -> str:
    """What is wrong, by field."""
    found = error.errors(include_url=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in found)


def is_as_changed(document: Document, change: PendingChange) -> bool:
    """Whether a document is what a change makes of its base, and was not changed since."""
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
