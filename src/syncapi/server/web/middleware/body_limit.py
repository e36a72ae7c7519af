"""A limit on the size of a body, also of a chunked one whose size is not declared."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class BodyLimit:
    """Refuses a body over `max_bytes`, before reading it if its length is declared.

    Args:
        app: the application that is guarded.
        max_bytes: the largest body.
        streaming: endpoints that read their body as a stream, under limits of their own.
    """

    def __init__(
        self, app: ASGIApp, *, max_bytes: int, streaming: frozenset[Callable[..., Any]]
    ) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._streaming = streaming

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (size := _declared_size(scope)) != 0:
            receive = self._limit(scope, receive, size)
        await self._app(scope, receive, send)

    def _limit(self, scope: Scope, receive: Receive, declared: int | None) -> Receive:
        seen = 0

        async def receive_limited() -> Message:
            nonlocal seen
            if scope.get("endpoint") in self._streaming:
                return await receive()
            self._check(declared or 0)
            message = await receive()
            seen += len(message.get("body", b""))
            self._check(seen)
            return message

        return receive_limited

    def _check(self, size: int) -> None:
        if size > self._max_bytes:
            # Not a Refusal: FastAPI lets only HTTPException out of the reading of a body.
            raise HTTPException(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"The body may have at most {self._max_bytes} bytes. Send less at a time.",
            )


def _declared_size(scope: Scope) -> int | None:
    """The size that the headers declare: 0 for no body, None for a chunked one (RFC 9112 §6)."""
    size: int | None = 0
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value)
        if name == b"transfer-encoding":
            size = None
    return size
