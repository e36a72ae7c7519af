"""Errors: problem documents as of RFC 9457."""

from typing import Literal

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from syncapi.protocol.base import WireModel


def _without_default(schema: JsonDict) -> None:
    del schema["default"]


class ProblemField(WireModel):
    field: str = Field(
        description="The parameter, header or path into the body.", examples=["since"]
    )
    message: str


class Problem(WireModel):
    """`application/problem+json` (RFC 9457), with this API's extensions."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    type: str = Field(
        description="A URI that names the kind of problem.",
        examples=["urn:syncapi:problem:invalid_request"],
    )
    title: str
    status: int = Field(ge=400, le=599)
    detail: str = Field(description="What happened and what to do, for a person.")
    success: Literal[False]
    code: str = Field(description="Stable; branch on this.", examples=["invalid_request"])
    reason: str | None = Field(
        default=None,  # for a client that reads it: older servers do not send it
        json_schema_extra=_without_default,
        description="Which of several causes the code has, where a client may do otherwise for "
        "each; null where there is nothing to tell apart.",
        examples=["tombstones_collected"],
    )
    request_id: str = Field(description="Quote this when you ask for help.")
    errors: list[ProblemField] = Field(description="One per wrong field; may be empty.")
