"""What clients pushed and what they were told, kept past their crashes for the audit."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

Json = dict[str, Any]

FIELDS = ("folder", "filename", "mime_type", "file_id")
"""What clients change of a document."""

STRATEGIES = ("reject", "last_write_wins", "first_write_wins", "merge")


def moment(text: str) -> datetime:
    """A version as sent."""
    return datetime.fromisoformat(text).astimezone(UTC)


def fields_of(document: Json) -> dict[str, str]:
    """The fields of a document in an answer."""
    own = {**document, "file_id": document["file"]["id"]}
    return {name: own[name] for name in FIELDS}


@dataclass(frozen=True, slots=True)
class Telling:
    """An answer to a change.

    Attributes:
        sent_at: when the request was sent, monotonic seconds.
        held: the version that the client's replica had of the document then.
        result: of the answer, as sent.
    """

    sent_at: float
    held: datetime | None
    result: Json

    @property
    def status(self) -> str:
        return str(self.result["status"])

    @property
    def document(self) -> Json | None:
        found: Json | None = self.result["document"]
        return found

    @property
    def version(self) -> datetime | None:
        """Of the document as it was told."""
        return None if self.document is None else moment(self.document["updated_at"])


@dataclass(slots=True)
class Story:
    """A change, from its making to its last answer.

    Attributes:
        strategy: of every push that it was in.
        was_abandoned: a request with it was given up before its answer came, so that it may be
            judged after its own repeat, or its answer was forgotten.
    """

    device: str
    tenant_id: UUID
    change: Json
    strategy: str
    tellings: list[Telling] = field(default_factory=list)
    was_abandoned: bool = False

    @property
    def id(self) -> str:
        return str(self.change["change_id"])

    @property
    def document_id(self) -> UUID:
        return UUID(self.change["id"])

    @property
    def base(self) -> datetime | None:
        """The version that it was made from; None of a create."""
        base = self.change.get("base_updated_at")
        return None if base is None else moment(base)

    @property
    def wanted(self) -> dict[str, str]:
        """The fields that it sets."""
        return {name: self.change[name] for name in FIELDS if name in self.change}


@dataclass(frozen=True, slots=True)
class Fork:
    """A fail-over to a standby that may have lacked the last commits.

    Attributes:
        at: when the standby had been promoted, monotonic seconds.
        kept: the newest stamp that it had of each tenant, or an older one.
    """

    at: float
    kept: Mapping[UUID, datetime]


def survives(tenant: UUID, version: datetime, sent_at: float, forks: Sequence[Fork]) -> bool:
    """Whether a version that a request told of must be in the history that is left."""
    return all(sent_at > fork.at or version <= fork.kept[tenant] for fork in forks)


def now() -> float:
    return time.monotonic()
