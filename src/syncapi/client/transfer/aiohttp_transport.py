"""GETs by aiohttp, in the words of httpx."""

import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import aiohttp
import httpx
from typing_extensions import override
from yarl import URL

_Errors = tuple[tuple[type[Exception], type[httpx.RequestError]], ...]

_ERRORS: Final[_Errors] = (  # the first that fits
    (aiohttp.ConnectionTimeoutError, httpx.ConnectTimeout),
    (aiohttp.ClientConnectorError, httpx.ConnectError),
    (TimeoutError, httpx.ReadTimeout),
    (aiohttp.NonHttpUrlClientError, httpx.UnsupportedProtocol),
    (aiohttp.InvalidURL, httpx.UnsupportedProtocol),
    (aiohttp.ServerDisconnectedError, httpx.RemoteProtocolError),
    (aiohttp.ClientResponseError, httpx.RemoteProtocolError),
    (aiohttp.ClientError, httpx.ReadError),
    (OSError, httpx.ReadError),
    (ValueError, httpx.UnsupportedProtocol),  # a URL with a user and a header with another
)
_LONGEST_LINE: Final = 2**16  # bytes of a header; what httpx takes


class Gets:
    """A pool of connections, as large as there are requests at once.

    Args:
        verify: of TLS.
    """

    def __init__(self, verify: ssl.SSLContext) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=verify, limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            max_line_size=_LONGEST_LINE,
            max_field_size=_LONGEST_LINE,
        )

    async def get(self, request: httpx.Request) -> httpx.Response:
        """Send a GET without a body; no redirect is followed.

        Raises:
            httpx.RequestError: no answer has begun.
        """
        with _errors_as_httpx(request):
            answer = await self._session.get(
                URL(str(request.url), encoded=True),  # signed as it is written
                headers=request.headers.multi_items(),
                skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent"),
                allow_redirects=False,
                timeout=_timeout(request.extensions.get("timeout", {})),
            )
        return httpx.Response(
            answer.status,
            headers=answer.raw_headers,
            stream=_Body(answer, request),
            extensions={"reason_phrase": (answer.reason or "").encode()},
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()


class _Body(httpx.AsyncByteStream):
    def __init__(self, answer: aiohttp.ClientResponse, request: httpx.Request) -> None:
        self._answer = answer
        self._request = request

    @override
    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _errors_as_httpx(self._request):
            async for piece in self._answer.content.iter_any():
                yield piece

    @override
    async def aclose(self) -> None:
        self._answer.release()  # kept for the next request if all was read, else closed


def _timeout(seconds: Mapping[str, Any]) -> aiohttp.ClientTimeout:
    """The limits of a request of httpx."""
    return aiohttp.ClientTimeout(
        total=None,
        connect=seconds.get("pool"),
        sock_connect=seconds.get("connect"),
        sock_read=seconds.get("read"),
    )


@contextmanager
def _errors_as_httpx(request: httpx.Request) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        for theirs, ours in _ERRORS:
            if isinstance(error, theirs):
                raise ours(str(error) or type(error).__name__, request=request) from error
        raise
