"""Answers that are sent while they are made, as fast as the client reads."""

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
    """Sends the pieces of a generator, and always closes it.

    It ends when the client closes the connection, or reads nothing for `stall_seconds`. A failure
    cuts the connection in the middle of the body, which every client of HTTP/1.1 notices.
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
        """Make the first piece before anything is sent: a failure can still be answered."""
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
            if not self._is_complete:
                raise ClientDisconnect
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

    async def _send(self, send: Send, piece: bytes) -> None:
        try:
            async with asyncio.timeout(self._stall_seconds):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        except TimeoutError as error:
            log.info("client_stalled", seconds=self._stall_seconds)
            raise ClientDisconnect from error
