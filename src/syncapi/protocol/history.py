"""The versions that a document had."""

from uuid import UUID

from pydantic import Field

from syncapi.protocol.base import Instant, RequestModel, Timestamp, WireModel
from syncapi.protocol.documents import FileInfo


class DocumentVersion(WireModel):
    """A document as of one write."""

    updated_at: Timestamp = Field(description="The version.")
    folder: str
    filename: str
    mime_type: str
    is_deleted: bool = Field(description="Whether this write deleted the document.")
    file: FileInfo | None = Field(description="Null if the bytes were removed from the database.")
    changed_by: UUID | None = Field(
        description="The user; null for a write that did not come through the API."
    )
    database_role: str = Field(description="The role of the database session that wrote.")
    change_id: UUID | None = Field(description="The pushed change; null for any other write.")


class DocumentHistory(WireModel):
    """Versions, newest first."""

    versions: list[DocumentVersion]
    next_before: Timestamp | None = Field(
        description="Send it as `before` for the older ones; null if there are none."
    )


MOST_NAMED = 500


class NamedVersion(RequestModel):
    """A version of a document, by its name alone."""

    id: UUID = Field(description="Of the document.")
    updated_at: Instant = Field(description="The version.")


class VersionsRequest(RequestModel):
    """Versions that a client has seen."""

    versions: list[NamedVersion] = Field(min_length=1, max_length=MOST_NAMED)


class UnknownVersion(WireModel):
    """A version of a document that the server does not know."""

    id: UUID
    updated_at: Timestamp


class UnknownVersions(WireModel):
    """Versions that a client asked about, and that the server does not know."""

    unknown: list[UnknownVersion] = Field(
        description="The server has lost them, or never had them; or they were not pushed, and "
        "are older than the history reaches."
    )


class RestoreRequest(RequestModel):
    """Which version to bring back."""

    updated_at: Instant | None = Field(
        default=None,
        description="A version of the history. Without it a deleted document comes back whole.",
    )
