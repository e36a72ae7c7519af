"""A push: the changes of a client and what became of each."""

from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import Field, model_validator
from typing_extensions import TypeAliasType

from syncapi.protocol.base import Instant, RequestModel, Timestamp, WireModel
from syncapi.protocol.documents import Document, Filename, Folder, MimeType

MOST_CHANGES = 500

CHANGEABLE = ("folder", "filename", "mime_type", "file_id")
"""The fields of a document that clients change, and that conflicts and merges are about."""

PushMode = Literal["partial", "atomic"]
"""Whether the other changes of a push are applied where one is not."""

OnConflict = Literal["reject", "last_write_wins", "first_write_wins", "merge"]
"""What the server does where a change was made from another version than its own."""

ChangeStatus = Literal["applied", "unchanged", "conflict", "rejected"]

Resolution = Literal["open", "server", "client", "merged"]
"""How a conflict was settled; ``open`` leaves it to the client."""

ProblemCode = Literal["not_found", "forbidden", "invalid_file", "unsupported_type", "not_applied"]
"""Why a change was rejected."""

ChangeId = Annotated[
    UUID,
    Field(description="Made by the client; the same change sent again is not applied again."),
]
BaseVersion = Annotated[
    Instant, Field(description="The `updated_at` of the document that the client changed.")
]


class CreateChange(RequestModel):
    """A document that the client made; it chooses the id."""

    op: Literal["create"]
    change_id: ChangeId
    id: UUID
    folder: Folder = ""
    filename: Filename
    mime_type: MimeType
    file_id: UUID = Field(description="A complete file of the tenant.")


class UpdateChange(RequestModel):
    """Fields that the client changed; what is left out stays as it is."""

    op: Literal["update"]
    change_id: ChangeId
    id: UUID
    base_updated_at: BaseVersion
    folder: Folder | None = None
    filename: Filename | None = None
    mime_type: MimeType | None = None
    file_id: UUID | None = Field(default=None, description="A complete file of the tenant.")

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if all(getattr(self, name) is None for name in CHANGEABLE):
            raise ValueError("name at least one of folder, filename, mime_type and file_id")
        return self


class DeleteChange(RequestModel):
    """A deletion; it needs the permission `delete`."""

    op: Literal["delete"]
    change_id: ChangeId
    id: UUID
    base_updated_at: BaseVersion


# A named type: generators of clients would else make up a name for the union.
PushedChange = TypeAliasType(
    "PushedChange",
    Annotated[CreateChange | UpdateChange | DeleteChange, Field(discriminator="op")],
)


class PushRequest(RequestModel):
    """Changes of one client, each document at most once."""

    changes: list[PushedChange] = Field(min_length=1, max_length=MOST_CHANGES)
    mode: PushMode = Field(
        default="partial",
        description="`partial`: a conflict never sinks the others. `atomic`: all or none.",
    )
    on_conflict: OnConflict = "reject"


class BaseFields(WireModel):
    """The version that the client started from, as the history has it."""

    folder: str
    filename: str
    mime_type: str
    file_id: UUID
    updated_at: Timestamp


class ConflictDetail(WireModel):
    """Both sides had changed the document."""

    resolution: Resolution = Field(
        description="`open`: the client decides. Else what the strategy settled on."
    )
    fields: list[str] = Field(
        description="In which both sides differ; `is_deleted` for a deletion."
    )
    server: Document | None = Field(
        description="The server's document before this push; null if it was hard-deleted."
    )
    base: BaseFields | None = Field(description="Null if the history does not reach back to it.")


class ChangeProblem(WireModel):
    code: ProblemCode
    detail: str


class ChangeResult(WireModel):
    """What became of one change."""

    change_id: UUID
    id: UUID
    status: ChangeStatus
    document: Document | None = Field(
        description="The server's document now; null if there is none."
    )
    conflict: ConflictDetail | None
    problem: ChangeProblem | None = Field(description="Why it was rejected.")


class PushOutcome(WireModel):
    """One result per change, in their order."""

    results: list[ChangeResult]
