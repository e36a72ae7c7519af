"""What changes have made of a version, as the history shows it. Pure."""

from syncapi.protocol.documents import Document, DocumentChanges
from syncapi.protocol.history import DocumentVersion


def made_by(
    changes: DocumentChanges, before: DocumentVersion | None, after: DocumentVersion | None
) -> DocumentVersion | None:
    """The version that changes made of ``before``.

    Args:
        changes: what is None stayed as it was.
        before: the version that they were made of; None if the history has it no more.
        after: the one that came next.

    Returns:
        ``before`` itself where they change nothing; None if what came next is another's work.
    """
    if before is None:
        return None
    wanted = {**_fields(before), **changes.model_dump(exclude_none=True)}
    candidates = [version for version in (before, after) if version and not version.is_deleted]
    return next((version for version in candidates if _fields(version) == wanted), None)


def as_of(document: Document, version: DocumentVersion) -> Document:
    """A document as it was in one of its versions."""
    names = ("folder", "filename", "mime_type", "updated_at")
    fields = {name: getattr(version, name) for name in names}
    return document.model_copy(update={**fields, "file": version.file or document.file})


def _fields(version: DocumentVersion) -> dict[str, object]:
    names = ("folder", "filename", "mime_type")
    file_id = None if version.file is None else version.file.id
    return {**{name: getattr(version, name) for name in names}, "file_id": file_id}
