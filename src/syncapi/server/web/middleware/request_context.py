"""The outermost middleware: request id, timing, common headers, and unforeseen errors."""

import re
from time import perf_counter
from uuid import uuid4

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from syncapi.server.web.context import Observer, RequestRecord, Served, attach
from syncapi.server.web.errors import CLIENT_CLOSED_REQUEST, internal_problem

_SANE_ID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:+/=@-]{0,127}")
NOSNIFF = (b"x-content-type-options", b"nosniff")
# Answers have signed URLs and private names, which no cache may keep.
NO_STORE = (b"cache-control", b"no-store")


class RequestContext:
    """Gives a request its record, and calls the observers when it is over."""

    def __init__(self, app: ASGIApp, *, observers: tuple[Observer, ...]) -> None:
        self._app = app
        self._observers = observers
        self._log = structlog.get_logger("syncapi.server.web")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        record = RequestRecord(request_id(scope))
        attach(scope, record)
        answer = _Answer(record, send)
        try:
            await self._app(scope, receive, answer)
        except ClientDisconnect:
            answer.status = CLIENT_CLOSED_REQUEST
        except Exception as error:  # noqa: BLE001 - the one place that handles unforeseen errors
            self._log.error("unhandled exception", exc_info=error)
            if not answer.is_started:  # else it is too late: the server cuts the connection
                await internal_problem(record.request_id)(scope, receive, answer)
        finally:
            self._report(scope, answer)

    def _report(self, scope: Scope, answer: "_Answer") -> None:
        served = Served(
            scope=scope,
            method=scope["method"],
            route=getattr(scope.get("route"), "path_format", None),
            status=answer.status,
            seconds=perf_counter() - answer.started_at,
            body_bytes=answer.body_bytes,
        )
        for observe in self._observers:
            observe(served)


class _Answer:
    """The `send` of one request: adds the common headers, and counts."""

    __slots__ = ("_send", "body_bytes", "is_started", "record", "started_at", "status")

    def __init__(self, record: RequestRecord, send: Send) -> None:
        self.record = record
        self.started_at = perf_counter()
        self.status = 500
        self.body_bytes = 0
        self.is_started = False
        self._send = send

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.is_started = True
            self.status = message["status"]
            message["headers"] = self._headers(message)
        else:
            self.body_bytes += len(message.get("body", b""))
        await self._send(message)

    def _headers(self, message: Message) -> list[tuple[bytes, bytes]]:
        headers = [
            *message.get("headers", ()),
            (b"x-request-id", self.record.request_id.encode()),
            NOSNIFF,
            *self.record.headers,
        ]
        if not any(name == b"cache-control" for name, _ in headers):
            headers.append(NO_STORE)
        return headers


def request_id(scope: Scope) -> str:
    """The client's ``X-Request-ID`` if it is safe to log, else a new id."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _SANE_ID.fullmatch(value):
            return bytes(value).decode()
    return uuid4().hex
