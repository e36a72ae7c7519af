"""The pages of a pull."""

from uuid import UUID

from pydantic import Field

from syncapi.protocol.base import Timestamp, WireModel
from syncapi.protocol.documents import Document


class SyncedDocument(Document):
    """A document with the URL of its bytes."""

    download_url: str | None = Field(
        description="A presigned S3 URL; null where `include_urls=false`."
    )


class Tombstone(WireModel):
    """A document that is no more: delete the local copy, if there is one."""

    id: UUID
    deleted_at: Timestamp


class SyncPage(WireModel):
    """One page of a run. Apply it whole, store `sync_token` with it, then go on."""

    added: list[SyncedDocument] = Field(description="Created or undeleted since the run's base.")
    modified: list[SyncedDocument]
    deleted: list[Tombstone]
    sync_token: str = Field(
        description="The next `cursor`: of this run while `has_more`, else of the next run."
    )
    has_more: bool
    next_page: int | None = Field(
        description="Of the deprecated `page` protocol; null otherwise and on the last page."
    )
    server_time: Timestamp = Field(
        description="The feed's time up to which this run brings everything: what clients of the "
        "timestamp protocol send as their next `since`."
    )
