"""Documents and their files."""

from collections.abc import Callable
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field

from syncapi.protocol.base import RequestModel, Timestamp, WireModel
from syncapi.protocol.filenames import (
    FILENAME_PATTERN,
    FOLDER_PATTERN,
    LONGEST_FILENAME,
    LONGEST_FOLDER,
    filename_fault,
    folder_fault,
)
from syncapi.protocol.media_types import LONGEST_MEDIA_TYPE, MEDIA_TYPE_PATTERN, media_type_fault


def _without(fault_of: Callable[[str], str | None]) -> AfterValidator:
    """Tell a fault in words; the pattern is for machines."""

    def check(text: str) -> str:
        fault = fault_of(text)
        if fault is not None:
            raise ValueError(fault)
        return text

    return AfterValidator(check)


Filename = Annotated[
    str,
    _without(filename_fault),
    Field(
        examples=["report.pdf"],
        json_schema_extra={
            "minLength": 1,
            "maxLength": LONGEST_FILENAME,
            "pattern": FILENAME_PATTERN,
        },
    ),
]
Folder = Annotated[
    str,
    _without(folder_fault),
    Field(
        description="Names of folders with `/` between them, each fit to be a file name; empty "
        "for the root.",
        examples=["reports/2026"],
        json_schema_extra={"maxLength": LONGEST_FOLDER, "pattern": FOLDER_PATTERN},
    ),
]
MimeType = Annotated[
    str,
    _without(media_type_fault),
    Field(
        examples=["application/pdf"],
        json_schema_extra={
            "minLength": 3,
            "maxLength": LONGEST_MEDIA_TYPE,
            "pattern": MEDIA_TYPE_PATTERN,
        },
    ),
]


class FileInfo(WireModel):
    """The content of a document, addressed by its hash."""

    id: UUID
    md5_hash: str = Field(
        description="Hex; to verify a download, never to decide identity.",
        min_length=32,
        max_length=32,
    )
    sha256_hash: str = Field(
        description="Hex; the identity of the bytes.", min_length=64, max_length=64
    )
    file_size: int = Field(description="In bytes.", ge=0)


class Document(WireModel):
    """A document as of its last write. `updated_at` is its version."""

    id: UUID
    folder: str = Field(description="Where it stands: `reports/2026`; empty for the root.")
    filename: str = Field(description="One plain name, never a path.")
    mime_type: str
    user_id: UUID | None = Field(description="The owner.")
    created_at: Timestamp
    created_by: UUID | None
    updated_at: Timestamp = Field(
        description="The version: the feed's stamp of the last write. It only rises."
    )
    is_deleted: bool
    deleted_at: Timestamp | None
    deleted_by: UUID | None
    file: FileInfo


class Pagination(WireModel):
    page: int = Field(ge=1)
    per_page: int = Field(ge=1)
    total: int = Field(ge=0)
    pages: int = Field(ge=0)


class DocumentList(WireModel):
    documents: list[Document]
    pagination: Pagination


class DocumentData(WireModel):
    document: Document


class DocumentChanges(RequestModel):
    """What to change; what is left out stays as it is."""

    folder: Folder | None = None
    filename: Filename | None = None
    mime_type: MimeType | None = None
    file_id: UUID | None = Field(
        default=None, description="New content: a complete file of the tenant."
    )


class DeletedDocument(WireModel):
    deleted_document_id: UUID
    hard_delete: bool


class DownloadUrl(WireModel):
    download_url: str = Field(description="A presigned S3 URL for a plain GET.")
    expires_at: Timestamp
    md5_hash: str
    sha256_hash: str
    file_size: int
