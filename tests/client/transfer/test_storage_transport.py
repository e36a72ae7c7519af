"""Presigned URLs by way of aiohttp: what httpx would say, at less cost."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress
from uuid import uuid4

import httpx
import pytest

from fixtures.raw_server import CLOSED, RawServer, raw_answer
from syncapi.client.api.client import Client
from syncapi.client.transfer.storage_transport import StorageTransport

LIMITS = httpx.Timeout(5, read=0.3)


@pytest.fixture
async def storage() -> AsyncIterator[httpx.AsyncClient]:
    transport = StorageTransport(ssl.create_default_context())
    async with httpx.AsyncClient(transport=transport, timeout=LIMITS) as storage:
        yield storage


async def test_an_answer_is_what_httpx_makes_of_it(storage: httpx.AsyncClient) -> None:
    sent = raw_answer(206, b"some bytes", content_range="bytes 0-9/20", x_twice="a")
    async with RawServer.answering(sent) as server:
        ours = await storage.get(server.url)
        async with httpx.AsyncClient() as plain:
            theirs = await plain.get(server.url)
    assert (ours.status_code, ours.reason_phrase) == (206, "Partial Content")
    assert ours.content == theirs.content == b"some bytes"
    assert ours.headers == theirs.headers


async def test_a_request_is_sent_as_it_was_made(storage: httpx.AsyncClient) -> None:
    """A signature is of the very characters of the URL, and of the headers that it names."""
    path = "/b/%E5%A0%B1%2F%7E?X-Amz-Signature=a%2Fb%3D&response-content-disposition=a%20b+c"
    async with RawServer.answering(raw_answer(200)) as server:
        await storage.get(server.url + path, headers={"Accept-Encoding": "identity"})
    (head,) = server.requests
    line, *headers = head.strip().split("\r\n")
    assert line == f"GET {path} HTTP/1.1"
    sent = [header.partition(": ")[::2] for header in headers]
    assert [value for name, value in sent if name.lower() == "accept-encoding"] == ["identity"]
    assert [value for name, value in sent if name.lower() == "host"] == [server.url[7:]]
    assert [value[:5] for name, value in sent if name.lower() == "user-agent"] == ["pytho"]


async def test_compressed_bytes_are_left_as_they_are(storage: httpx.AsyncClient) -> None:
    sent = raw_answer(200, b"not gzip at all", content_encoding="gzip")
    async with RawServer.answering(sent) as server, storage.stream("GET", server.url) as answer:
        assert [piece async for piece in answer.aiter_raw()] == [b"not gzip at all"]


async def test_redirects_are_httpx_own(storage: httpx.AsyncClient) -> None:
    async with RawServer.answering(raw_answer(200, b"there")) as there:
        moved = raw_answer(307, location=f"{there.url}/a%2Fb")
        async with RawServer.answering(moved) as here:
            assert (await storage.get(here.url)).status_code == 307
            answer = await storage.get(here.url, follow_redirects=True)
    assert answer.content == b"there"
    assert there.requests[0].startswith("GET /a%2Fb ")


CUT = raw_answer(200, b"half", content_length="8")
WAITS = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf"


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (CLOSED, httpx.RemoteProtocolError),
        (b"nonsense\r\n\r\n", httpx.RemoteProtocolError),
        (CUT, httpx.ReadError),
    ],
)
async def test_what_goes_wrong_is_told_in_the_words_of_httpx(
    storage: httpx.AsyncClient, sent: bytes, error: type[httpx.RequestError]
) -> None:
    async with RawServer.answering(sent) as server:
        with pytest.raises(error) as caught:
            await storage.get(f"{server.url}/x")
    assert str(caught.value.request.url) == f"{server.url}/x"
    assert str(caught.value)


async def test_an_answer_that_stops_is_waited_for_as_long_as_is_said(
    storage: httpx.AsyncClient,
) -> None:
    async def stop(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(WAITS)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(stop, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(httpx.ReadTimeout):
            await storage.get(f"http://127.0.0.1:{port}")


async def test_nobody_there(storage: httpx.AsyncClient) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        with pytest.raises(httpx.ConnectError):
            await storage.get(f"http://127.0.0.1:{taken.getsockname()[1]}")


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "http://a:b@127.0.0.1/x"])
async def test_what_is_no_address_is_refused(storage: httpx.AsyncClient, url: str) -> None:
    with pytest.raises(httpx.UnsupportedProtocol):
        await storage.get(url)


async def test_headers_may_be_long(storage: httpx.AsyncClient) -> None:
    async with RawServer.answering(raw_answer(200, x_amz_meta="x" * 30_000)) as server:
        assert len((await storage.get(server.url)).headers["x-amz-meta"]) == 30_000


class _Counting:
    """Answers everything, and counts connections."""

    def __init__(self) -> None:
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n")
                writer.write(b"x" * 300_000)
        writer.transport.abort()


async def test_a_connection_is_used_again_once_all_was_read(storage: httpx.AsyncClient) -> None:
    counting = _Counting()
    async with await asyncio.start_server(counting.serve, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for _ in range(3):
            assert len((await storage.get(url)).content) == 300_000
        assert counting.connections == 1
        async with storage.stream("GET", url) as answer:
            await anext(answer.aiter_raw())
        assert len((await storage.get(url)).content) == 300_000
        assert counting.connections == 2
        await storage.aclose()


async def test_other_methods_go_by_httpx(storage: httpx.AsyncClient) -> None:
    async with RawServer.answering(raw_answer(200)) as server:
        await storage.put(server.url, content=b"bytes")
    assert "content-length: 5" in server.requests[0].lower()
    assert "content-type" not in server.requests[0].lower()


@pytest.mark.parametrize(("proxy", "is_ours"), [(None, True), ("http://127.0.0.1:9", False)])
async def test_a_proxy_of_the_environment_is_respected(
    monkeypatch: pytest.MonkeyPatch, proxy: str | None, *, is_ours: bool
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    if proxy:
        monkeypatch.setenv("http_proxy", proxy)
    async with (
        RawServer.answering(raw_answer(200, b"direct")) as server,
        Client(server.url, uuid4(), "token") as client,
    ):
        if is_ours:
            assert (await client.storage.get(server.url)).content == b"direct"
        else:
            with pytest.raises(httpx.ConnectError):
                await client.storage.get(server.url)
