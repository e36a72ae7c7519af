"""The manifest of an archive, which is its last member."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from syncapi.protocol.archives import ArchiveManifest, ManifestEntry, MemberError, MemberFault
from syncapi.protocol.documents import Document

FAULTS: Final[dict[MemberFault, str]] = {
    "not_found": "There is no such document in this tenant, or it was deleted.",
    "missing": "The object store does not have the document's bytes.",
    "wrong_size": "The object store has bytes of another size; they were left out.",
    "wrong_content": "The bytes do not have the document's SHA-256: do not trust them.",
}

_IN_THE_ARCHIVE: Final = frozenset({None, "wrong_content"})


@dataclass(frozen=True, slots=True)
class Found:
    """A document as of the moment at which the archive was begun.

    Attributes:
        name: its path in the archive.
    """

    document: Document
    s3_path: str
    name: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """A document that was asked for; `found` is None if there is none."""

    id: UUID
    found: Found | None

    @property
    def s3_path(self) -> str | None:
        return None if self.found is None else self.found.s3_path


def entry_of(wanted: Wanted, fault: MemberFault | None) -> ManifestEntry:
    """The entry of one document in the manifest."""
    error = None if fault is None else MemberError(code=fault, message=FAULTS[fault])
    if wanted.found is None:
        return ManifestEntry(
            id=wanted.id,
            name=None,
            folder=None,
            filename=None,
            mime_type=None,
            size=None,
            sha256=None,
            updated_at=None,
            error=error,
        )
    document = wanted.found.document
    return ManifestEntry(
        id=wanted.id,
        name=wanted.found.name if fault in _IN_THE_ARCHIVE else None,
        folder=document.folder,
        filename=document.filename,
        mime_type=document.mime_type,
        size=document.file.file_size,
        sha256=document.file.sha256_hash,
        updated_at=document.updated_at,
        error=error,
    )


def manifest_of(entries: list[ManifestEntry], created_at: datetime) -> bytes:
    """The manifest as JSON for machines, laid out for people."""
    manifest = ArchiveManifest(created_at=created_at, documents=entries)
    return manifest.model_dump_json(indent=2).encode()
