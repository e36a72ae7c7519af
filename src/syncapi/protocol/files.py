"""Files, and uploads that go straight to the object store."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from syncapi.protocol.base import RequestModel, Timestamp, WholeNumber, WireModel
from syncapi.protocol.content import LARGEST_OBJECT
from syncapi.protocol.documents import FileInfo, MimeType

PARTS_AT_ONCE = 100
MOST_PARTS_AT_ONCE = 1000

Sha256 = Annotated[str, Field(description="Hex, lower case.", pattern="^[0-9a-f]{64}$")]
Md5 = Annotated[str, Field(description="Hex, lower case.", pattern="^[0-9a-f]{32}$")]


class FileDeclaration(RequestModel):
    """What will be uploaded."""

    sha256_hash: Sha256
    md5_hash: Md5
    file_size: WholeNumber = Field(description="In bytes.", ge=0, le=LARGEST_OBJECT)
    mime_type: MimeType


class PartRange(WireModel):
    """Parts from `first` to `last`, both included."""

    first: int
    last: int


class UploadPart(WireModel):
    """A part to send: `PUT` these bytes of the file to `url`, with the headers of the upload."""

    number: int = Field(description="From 1.")
    offset: int = Field(description="Of its first byte in the file.")
    size: int = Field(description="In bytes.")
    url: str = Field(description="A presigned S3 URL. Send no `Authorization` with it.")


class PendingUpload(WireModel):
    """How to send the bytes; a file that is one `PUT` is a single part."""

    kind: Literal["single", "multipart"]
    headers: dict[str, str] = Field(
        description="To be sent with every part, exactly as they are.",
        examples=[{"content-type": "application/pdf", "content-md5": "XrY7u+Ae7tCTyyK7j1rNww=="}],
    )
    part_size: int = Field(description="Of all parts but the last, in bytes.")
    part_count: int
    received: list[PartRange] = Field(description="The parts that have arrived.")
    parts: list[UploadPart] = Field(description="Those that are missing, in order; not all.")
    next_after: int | None = Field(
        description="Send it as `after` for further missing parts; null if there are none."
    )
    expires_at: Timestamp = Field(
        description="When these URLs stop working; `getFile` signs new ones."
    )


class FileState(WireModel):
    """A file, or the upload that becomes one."""

    id: UUID = Field(description="Of the file once it is complete; of its upload until then.")
    status: Literal["pending", "complete"] = Field(
        description="Documents can refer to a file that is `complete`."
    )
    file: FileInfo | None = Field(description="Null while it is pending.")
    upload: PendingUpload | None = Field(description="Null once it is complete.")
