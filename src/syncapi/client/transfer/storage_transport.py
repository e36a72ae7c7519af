"""How presigned URLs are reached: downloads by aiohttp, the rest by httpx's own transport."""

import ssl
from typing import Protocol

import httpx
from typing_extensions import override


class Getting(Protocol):
    """Sends the GETs."""

    async def get(self, request: httpx.Request) -> httpx.Response: ...

    async def close(self) -> None: ...


class StorageTransport(httpx.AsyncBaseTransport):
    """Fetches many small objects at a fraction of the cost.

    httpx parses answers in Python and looks at each of its connections before each request: most
    of the time of a first sync of small files went there (decision 14). Everything but GET goes by
    httpx's own transport.

    Args:
        verify: of TLS.
    """

    def __init__(self, verify: ssl.SSLContext) -> None:
        self._verify = verify
        self._others = httpx.AsyncHTTPTransport(verify=verify)
        self._gets: Getting | None = None

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method != "GET":
            return await self._others.handle_async_request(request)
        if self._gets is None:
            # A sync that fetches nothing need not wait for the import.
            from syncapi.client.transfer.aiohttp_transport import Gets  # noqa: PLC0415

            self._gets = Gets(self._verify)
        return await self._gets.get(request)

    @override
    async def aclose(self) -> None:
        gets, self._gets = self._gets, None
        try:
            await self._others.aclose()
        finally:
            if gets is not None:
                await gets.close()
