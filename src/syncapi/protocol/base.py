"""What all models of the API have in common."""

import re
from datetime import UTC, datetime
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
)

# The colon of the offset is missing where `strftime` wrote it: generated Python clients do that.
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:?\d\d)", re.ASCII)


def format_time(moment: datetime) -> str:
    """ISO 8601 in UTC, always with six digits and ``Z``, so that text order is time order."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


Timestamp = Annotated[
    AwareDatetime,
    PlainSerializer(format_time, return_type=str, when_used="json"),
    Field(
        description="UTC, ISO 8601 with microseconds and `Z`.",
        examples=["2026-11-23T09:30:00.123456Z"],
        json_schema_extra={"format": "date-time"},
    ),
]


def parse_instant(text: object) -> datetime:
    """Read a time as of RFC 3339, to the microsecond; the offset is required.

    Programs may give it as a time, such as the version of a document.

    Raises:
        ValueError: it is written otherwise, or there is no such time.
    """
    if isinstance(text, datetime) and text.tzinfo is not None:
        return text.astimezone(UTC)
    if isinstance(text, str) and re.search(r" \d\d:?\d\d$", text):
        raise ValueError("write the + of the offset as %2B, or the time in UTC with Z")
    if not isinstance(text, str) or not _RFC3339.fullmatch(text):
        raise ValueError("write the time as 2026-11-23T09:30:00.123456Z (RFC 3339)")
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError("there is no such time") from error


Instant = Annotated[
    datetime, BeforeValidator(parse_instant), Field(examples=["2026-11-23T09:30:00Z"])
]
"""A time that a client sends."""


def _refuse_disguise(number: object) -> object:
    if isinstance(number, bool | str):
        raise ValueError("write it as a number")  # noqa: TRY004 - of which a problem is made
    return number


WholeNumber = Annotated[int, BeforeValidator(_refuse_disguise)]
"""An integer in a body: 3, also written 3.0 as JSON Schema has it, but neither true nor "3"."""


class WireModel(BaseModel):
    """A message of the API. Requests refuse unknown fields; answers may grow new ones."""

    model_config = ConfigDict(frozen=True)


class RequestModel(WireModel):
    """A message from a client: an unknown or misspelt field is an error that names it."""

    model_config = ConfigDict(extra="forbid")


Data = TypeVar("Data", bound=WireModel)


class Success(WireModel, Generic[Data]):
    """The envelope of every successful answer."""

    success: Literal[True]
    message: str = Field(description="What happened, for a person.")
    data: Data
