"""Answers that are sent while they are made, at the pace of their reader."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Self

from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send
from structlog import get_logger
from typing_extensions import override

from syncapi.server.domain.errors import Refusal

log = get_logger(__name__)


class Streamed(StreamingResponse):
    """Sends pieces, and closes their generator whatever happens.

    A client that goes away, or takes nothing for `stall_seconds`, ends it. A failure cuts the
    connection in the middle of the body, which every client of HTTP/1.1 notices.
    """

    def __init__(
        self,
        first: bytes,
        rest: AsyncGenerator[bytes],
        *,
        stall_seconds: float,
        media_type: str,
        headers: Mapping[str, str],
    ) -> None:
        super().__init__(rest, media_type=media_type, headers=headers)
        self._first = first
        self._rest = rest
        self._stall_seconds = stall_seconds
        self._is_complete = False

    @classmethod
    async def begin(
        cls,
        pieces: AsyncGenerator[bytes],
        *,
        stall_seconds: float,
        media_type: str,
        headers: Mapping[str, str],
    ) -> Self:
        """Make the first piece before anything is sent: what fails until then is a problem."""
        first = await anext(pieces, b"")
        return cls(
            first, pieces, stall_seconds=stall_seconds, media_type=media_type, headers=headers
        )

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except Refusal as refusal:  # too late for a problem document: the server cuts
            log.error(  # noqa: TRY400 - the refusal says it all
                "answer_cut", code=refusal.code, detail=refusal.detail
            )
        else:
            self._check_complete()
        finally:
            await self._rest.aclose()

    @override
    async def stream_response(self, send: Send) -> None:
        start = {"type": "http.response.start", "status": self.status_code}
        await send({**start, "headers": self.raw_headers})
        await self._send(send, self._first)
        async for piece in self._rest:
            await self._send(send, piece)
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        self._is_complete = True

    def _check_complete(self) -> None:
        if not self._is_complete:
            raise ClientDisconnect

    async def _send(self, send: Send, piece: bytes) -> None:
        try:
            async with asyncio.timeout(self._stall_seconds):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        except TimeoutError as error:
            log.info("client_stalled", seconds=self._stall_seconds)
            raise ClientDisconnect from error
