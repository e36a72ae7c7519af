"""The record of the request being served, filled in while it is served."""

from collections.abc import Callable, MutableMapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import UUID

_SCOPE_KEY = "syncapi.record"


@dataclass(slots=True)
class RequestRecord:
    """What log lines and the answer say of one request.

    Attributes:
        request_id: the client's, if it sent one that is safe to log, else one made here.
        tenant_id: None until the membership is proven.
        user_id: None until the token is verified.
        headers: of the answer, which a route, the error table or a middleware makes.
    """

    request_id: str
    tenant_id: UUID | None = None
    user_id: UUID | None = None
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)


current_record: ContextVar[RequestRecord | None] = ContextVar("syncapi_record", default=None)


def attach(scope: MutableMapping[str, Any], record: RequestRecord) -> None:
    """Attach `record` to this ASGI scope, and to all that is logged while it is served."""
    scope[_SCOPE_KEY] = record
    current_record.set(record)


def record_of(scope: MutableMapping[str, Any]) -> RequestRecord:
    """Return the record that the outermost middleware attached."""
    return cast("RequestRecord", scope[_SCOPE_KEY])


@dataclass(frozen=True, slots=True)
class Served:
    """A request that is over.

    Attributes:
        scope: the scope of the ASGI server.
        route: the path template, or None if no route matched.
        seconds: from the first byte of the request's head to the last byte of the answer.
        body_bytes: the size of the answer's body, as sent.
    """

    scope: MutableMapping[str, Any]
    method: str
    route: str | None
    status: int
    seconds: float
    body_bytes: int


Observer = Callable[[Served], None]
