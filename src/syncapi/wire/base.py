"""What all models of the API have in common."""

from datetime import UTC, datetime
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer


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
