"""A network that fails in the ways that networks do, drawn from a seed.

Requests reach the real service unless the fault is that they do not: an answer is lost after the
server has acted on it.
"""

import asyncio
import random
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable
from functools import cache
from typing import Final, Literal

import httpx
from typing_extensions import override

from soak.exchanges import LONGEST_TEXT, Exchanges, abridged
from syncapi.client.transfer.storage_transport import StorageTransport

Fault = Literal[
    "refused",  # the request never arrives
    "lost",  # it is carried out, and the answer is lost
    "twice",  # it arrives twice
    "busy",  # a proxy turns it away
    "expired",  # the signature of the URL is too old
    "cut",  # the connection breaks in the middle of the body
    "truncated",  # the body ends early, as if that were all
    "corrupt",  # a byte of the body is another one
    "slow",  # the body comes in drips
]

_ANY: Final[tuple[Fault, ...]] = ("refused", "lost", "twice", "busy")
_OF_STORAGE: Final[tuple[Fault, ...]] = ("expired",)
_OF_DOWNLOADS: Final[tuple[Fault, ...]] = ("cut", "truncated", "corrupt", "slow")


_DRIP: Final = 1000  # bytes
_EXPIRED: Final = "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"


class Faulty:
    """Passes requests on, and now and then does not.

    Args:
        rng: draws the faults.
        is_storage: whether it is the network to the object store.
        exchanges: takes the requests and their answers.

    Attributes:
        rate: the share of requests that meet a fault; may be changed at any time.
        only: which one; None draws it.
        pushes_only: whether nothing but pushes meets faults.
        meanwhile: called before each request.
    """

    def __init__(
        self, rng: random.Random, *, is_storage: bool, exchanges: Exchanges | None = None
    ) -> None:
        self.rate = 0.0
        self.only: Fault | None = None
        self.pushes_only = False
        self.meanwhile: Callable[[], object] = lambda: None
        self.met: Counter[str] = Counter()
        self.rng = rng
        self.is_storage = is_storage
        self.exchanges = exchanges or Exchanges()

    def for_one_client(self) -> httpx.AsyncBaseTransport:
        """The connections of one process."""
        return _Connections(self)

    def draw(self, request: httpx.Request) -> Fault | None:
        """The fault that a request meets, if any."""
        if self.rng.random() >= self.rate:
            return None
        if self.pushes_only and not _is_push(request):
            return None
        if self.only is not None:
            return self.only
        faults = _ANY
        if self.is_storage:
            faults += _OF_STORAGE
            if request.method == "GET":
                faults += _OF_DOWNLOADS
        return self.rng.choice(faults)


@cache
def _certificates() -> ssl.SSLContext:
    """Reading them takes longer than most of what is done with a connection."""
    return httpx.create_ssl_context()


class _Connections(httpx.AsyncBaseTransport):
    def __init__(self, network: Faulty) -> None:
        self._network = network
        self._inner = (
            StorageTransport(_certificates())
            if network.is_storage
            else httpx.AsyncHTTPTransport(verify=_certificates())
        )

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._network.meanwhile()
        fault = self._network.draw(request)
        what = _described(request, fault)
        try:
            answer = await self._answer(fault, request)
        except Exception as error:
            self._network.exchanges.note(f"{what} -> {type(error).__name__}: {error}")
            raise
        if self._network.is_storage or fault is not None:
            self._network.exchanges.note(f"{what} -> {answer.status_code}")
            return answer
        return await self._noted(what, answer)

    async def _answer(self, fault: Fault | None, request: httpx.Request) -> httpx.Response:
        if fault is None:
            return await self._inner.handle_async_request(request)
        self._network.met[fault] += 1
        return await self._meet(fault, request)

    async def _noted(self, what: str, answer: httpx.Response) -> httpx.Response:
        """The same answer, once its body is noted."""
        body = await _whole(answer)
        read = httpx.Response(answer.status_code, headers=answer.headers, content=body)
        self._network.exchanges.note(f"{what} -> {abridged(read)}")
        return httpx.Response(
            answer.status_code, headers=answer.headers, stream=httpx.ByteStream(body)
        )

    @override
    async def aclose(self) -> None:
        await self._inner.aclose()

    async def _meet(self, fault: Fault, request: httpx.Request) -> httpx.Response:
        match fault:
            case "refused":
                raise httpx.ConnectError("refused by the simulation", request=request)
            case "twice" if isinstance(request.stream, httpx.ByteStream):
                await _whole(await self._inner.handle_async_request(request))
                return await self._inner.handle_async_request(request)
            case "lost" | "twice":  # what is streamed is there once
                await _whole(await self._inner.handle_async_request(request))
                raise httpx.ReadTimeout("lost by the simulation", request=request)
            case "busy":
                return httpx.Response(503, headers={"Retry-After": "0"}, request=request)
            case "expired":
                return httpx.Response(403, text=_EXPIRED, request=request)
            case _:
                answer = await self._inner.handle_async_request(request)
                body = await _whole(answer)
                return httpx.Response(
                    answer.status_code,
                    headers=answer.headers,
                    stream=_Broken(body, fault, self._network.rng),
                    request=request,
                )


class _Broken(httpx.AsyncByteStream):
    """A body to which something happens on the way."""

    def __init__(self, body: bytes, fault: Fault, rng: random.Random) -> None:
        self._body = body
        self._fault = fault
        self._place = rng.randrange(len(body)) if body else 0

    @override
    async def __aiter__(self) -> AsyncIterator[bytes]:
        place, body = self._place, self._body
        match self._fault:
            case "corrupt" if body:
                yield body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]
            case "slow":
                for start in range(0, len(body), _DRIP):
                    await asyncio.sleep(0)
                    yield body[start : start + _DRIP]
            case "cut":
                yield body[:place]
                raise httpx.ReadError("cut by the simulation")
            case _:
                yield body[:place]


def _described(request: httpx.Request, fault: Fault | None) -> str:
    is_whole = isinstance(request.stream, httpx.ByteStream)
    body = request.content[:LONGEST_TEXT].decode(errors="replace") if is_whole else ""
    met = f" ({fault})" if fault else ""
    return f"{request.method} {request.url.raw_path.decode()} {body}{met}"


def _is_push(request: httpx.Request) -> bool:
    return request.method == "POST" and request.url.path.endswith("/documents/sync")


async def _whole(answer: httpx.Response) -> bytes:
    assert isinstance(answer.stream, httpx.AsyncByteStream)
    body = b"".join([piece async for piece in answer.stream])
    await answer.stream.aclose()
    return body
