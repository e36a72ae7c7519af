"""What is compressed, how, and what is left alone."""

import json
import zlib

import httpx
import pytest
import zstandard
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from syncapi.server.web.middleware.compression import Compression, negotiated

PAGE = json.dumps([{"filename": f"report-{n}.pdf"} for n in range(500)]).encode()
BIG = PAGE * 40


async def _app(scope: Scope, receive: Receive, send: Send) -> None:
    match Request(scope).url.path:
        case "/json":
            response = Response(PAGE, media_type="application/json", headers={"ETag": '"v1"'})
        case "/big":
            response = Response(BIG, media_type="application/problem+json")
        case "/small":
            response = Response(b'{"a":1}', media_type="application/json")
        case "/zip":
            response = Response(PAGE, media_type="application/zip")
        case "/stream":
            response = StreamingResponse(iter([PAGE, PAGE]), media_type="application/json")
        case _:
            response = Response(PAGE, headers={"Content-Encoding": "br"}, media_type="text/html")
    await response(scope, receive, send)


async def _get(path: str, accept: str) -> tuple[httpx.Headers, bytes]:
    """The headers and the bytes as they go over the wire."""
    transport = httpx.ASGITransport(Compression(_app))
    async with (
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
        client.stream("GET", path, headers={"Accept-Encoding": accept}) as response,
    ):
        return response.headers, b"".join([piece async for piece in response.aiter_raw()])


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip", "gzip"),
        ("GZIP;q=0.5, *;q=0", "gzip"),
        ("zstd;q=0, gzip", "gzip"),
        ("zstd;q=0.000", None),
        ("zstd;Q=0, gzip", "gzip"),
        ("identity", None),
        ("br", None),
        ("", None),
    ],
)
def test_the_best_encoding_that_the_client_takes(accept: str, chosen: str | None) -> None:
    assert negotiated(accept) == chosen


@pytest.mark.parametrize(("path", "plain"), [("/json", PAGE), ("/big", BIG)])
async def test_json_is_compressed(path: str, plain: bytes) -> None:
    headers, body = await _get(path, "zstd")
    assert headers["content-encoding"] == "zstd"
    assert headers["content-length"] == str(len(body))
    assert headers["vary"] == "Accept-Encoding"
    assert len(body) < len(plain) / 4
    assert zstandard.ZstdDecompressor().decompress(body) == plain
    headers, body = await _get(path, "gzip")
    assert headers["content-encoding"] == "gzip"
    assert zlib.decompress(body, wbits=31) == plain


async def test_another_encoding_has_no_strong_validator() -> None:
    assert (await _get("/json", "zstd"))[0]["etag"] == 'W/"v1"'
    assert (await _get("/json", "identity"))[0]["etag"] == '"v1"'


async def test_caches_are_told_also_where_nothing_is_compressed() -> None:
    headers, body = await _get("/json", "identity")
    assert headers["vary"] == "Accept-Encoding"
    assert body == PAGE


@pytest.mark.parametrize("path", ["/small", "/zip", "/stream", "/encoded"])
async def test_what_would_not_gain_passes_as_it_is(path: str) -> None:
    headers, body = await _get(path, "zstd, gzip")
    assert headers.get("content-encoding") in {None, "br"}
    assert body in {b'{"a":1}', PAGE, PAGE + PAGE}
