"""What is known of the request being served, filled in as it becomes known."""

from collections.abc import Callable, MutableMapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import UUID

_SCOPE_KEY = "syncapi.record"


@dataclass(slots=True)
class RequestRecord:
    """One request, as its log lines and its answer will show it.

    Attributes:
        request_id: of the client, if it sent a sane one, else made here.
        tenant_id: None until the membership is proven.
        user_id: None until the token is verified.
        headers: for the answer, whoever makes it: a route, the error table or a middleware.
    """

    request_id: str
    tenant_id: UUID | None = None
    user_id: UUID | None = None
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)


current_record: ContextVar[RequestRecord | None] = ContextVar("syncapi_record", default=None)


def attach(scope: MutableMapping[str, Any], record: RequestRecord) -> None:
    """Make `record` the one of this ASGI scope and of everything logged while it is served."""
    scope[_SCOPE_KEY] = record
    current_record.set(record)


def record_of(scope: MutableMapping[str, Any]) -> RequestRecord:
    """Return the record that the outermost middleware attached."""
    return cast("RequestRecord", scope[_SCOPE_KEY])


@dataclass(frozen=True, slots=True)
class Served:
    """A request that is over.

    Attributes:
        scope: of the ASGI server.
        route: the path template, or None where no route matched.
        seconds: from the first byte of the request's head to the last of the answer.
        body_bytes: of the answer, as sent.
    """

    scope: MutableMapping[str, Any]
    method: str
    route: str | None
    status: int
    seconds: float
    body_bytes: int


Observer = Callable[[Served], None]
