"""Archives of many documents, and the manifest that each of them ends with."""

from collections import Counter
from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import AfterValidator, Field

from syncapi.protocol.base import RequestModel, Timestamp, WireModel

MOST_DOCUMENTS: Final = 500
MANIFEST_NAME: Final = "manifest.json"

ArchiveFormat = Literal["zip", "tar"]
MemberFault = Literal["not_found", "missing", "wrong_size", "wrong_content"]


def _distinct(ids: list[UUID]) -> list[UUID]:
    twice = [str(document_id) for document_id, times in Counter(ids).items() if times > 1]
    if twice:
        raise ValueError(f"Name each document once. Named more than once: {', '.join(twice)}")
    return ids


class ArchiveRequest(RequestModel):
    document_ids: Annotated[list[UUID], AfterValidator(_distinct)] = Field(
        description="What the archive will hold, in this order.",
        min_length=1,
        max_length=MOST_DOCUMENTS,
        json_schema_extra={"uniqueItems": True},
    )
    format: ArchiveFormat = "zip"


class MemberError(WireModel):
    """Why a document is not in the archive as it should be.

    `not_found`: there is no such document, or it was deleted. `missing`: the store has lost its
    bytes. `wrong_size`: the store has other bytes; they were left out. `wrong_content`: the
    bytes in the archive do not have the document's hash.
    """

    code: MemberFault
    message: str


class ManifestEntry(WireModel):
    """One document that was asked for."""

    id: UUID
    name: str | None = Field(
        description="Its path in the archive, with `/`; null if it is not there."
    )
    folder: str | None = Field(description="Of the document; null if there is none.")
    filename: str | None = Field(description="Of the document; null if there is none.")
    mime_type: str | None
    size: int | None = Field(description="In bytes.")
    sha256: str | None = Field(description="Hex; of the bytes as they should be.")
    updated_at: Timestamp | None = Field(description="The version.")
    error: MemberError | None


class ArchiveManifest(WireModel):
    """The last member of an archive, `manifest.json`. An archive without it was cut off."""

    created_at: Timestamp
    documents: list[ManifestEntry]
