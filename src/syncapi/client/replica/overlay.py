"""Documents as they look here: the server's, with what was changed here laid over them. Pure."""

from collections.abc import Iterable
from datetime import datetime

from syncapi.client.replica.records import NOT_UPLOADED, ContentHash, PendingChange
from syncapi.protocol.documents import Document, FileInfo

_ALIVE = {"is_deleted": False, "deleted_at": None, "deleted_by": None}


def seen(document: Document | None, changes: Iterable[PendingChange]) -> Document | None:
    """A document after changes that the server does not have yet; None if it is deleted."""
    for change in changes:
        document = _after(document, change)
    return document


def _after(document: Document | None, change: PendingChange) -> Document | None:
    if change.op == "delete":
        return None
    under = document or change.base
    if under is None:
        return _made(change) if change.op == "create" else None
    return under.model_copy(update={**changed_fields(change), **_ALIVE})


def changed_fields(change: PendingChange) -> dict[str, object]:
    """The fields of a document that a change sets."""
    names = ("folder", "filename", "mime_type")
    fields = {name: getattr(change, name) for name in names if getattr(change, name) is not None}
    return fields if change.content is None else {**fields, "file": file_of(change.content)}


def file_of(content: ContentHash) -> FileInfo:
    """As a document shows a content before it is uploaded."""
    return FileInfo(
        id=NOT_UPLOADED,
        md5_hash=content.md5,
        sha256_hash=content.sha256,
        file_size=content.size,
    )


def _made(change: PendingChange) -> Document | None:
    if change.content is None:
        return None
    return document_of(change, change.content, change.queued_at)


def document_of(change: PendingChange, content: ContentHash, when: datetime) -> Document:
    """A document that was made here. Owner and version are the server's to give."""
    return Document(
        id=change.id,
        folder=change.folder or "",
        filename=change.filename or "",
        mime_type=change.mime_type or "",
        user_id=None,
        created_at=when,
        created_by=None,
        updated_at=when,
        is_deleted=False,
        deleted_at=None,
        deleted_by=None,
        file=file_of(content),
    )
