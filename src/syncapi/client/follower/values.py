"""A version's fields, as they are compared."""

from collections.abc import Mapping
from typing import TypeAlias

from syncapi.protocol.documents import Document

Values: TypeAlias = Mapping[str, object]
"""A version's fields: folder, filename and mime_type as text, content as its SHA-256."""


def values_of(document: Document) -> dict[str, object]:
    return {
        "folder": document.folder,
        "filename": document.filename,
        "mime_type": document.mime_type,
        "content": document.file.sha256_hash,
    }
