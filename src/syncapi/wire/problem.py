"""Errors: problem documents as of RFC 9457."""

from typing import Literal

from pydantic import Field

from syncapi.wire.base import WireModel


class ProblemField(WireModel):
    field: str = Field(
        description="The parameter, header or path into the body.", examples=["since"]
    )
    message: str


class Problem(WireModel):
    """`application/problem+json` (RFC 9457), with this API's extensions."""

    type: str = Field(
        description="A URI that names the kind of problem.",
        examples=["urn:syncapi:problem:invalid_request"],
    )
    title: str
    status: int = Field(ge=400, le=599)
    detail: str = Field(description="What happened and what to do, for a person.")
    success: Literal[False]
    code: str = Field(description="Stable; branch on this.", examples=["invalid_request"])
    request_id: str = Field(description="Quote this when you ask for help.")
    errors: list[ProblemField] = Field(description="One per wrong field; may be empty.")
