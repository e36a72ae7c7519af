"""Request ids, common headers, and how a request ends."""

import queue
import socket
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

import httpx
import pytest
import structlog
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from fixtures.server import serving
from syncapi.server.web.context import Served, record_of
from syncapi.server.web.errors import CLIENT_CLOSED_REQUEST, install_error_handlers
from syncapi.server.web.middleware.request_context import RequestContext

pytestmark = pytest.mark.usefixtures("every_log")


async def thing(name: str, request: Request) -> Response:
    record_of(request.scope).headers.append((b"ratelimit", b"x"))
    return Response(name, headers={"Cache-Control": "public"} if name == "public" else None)


async def upload(request: Request) -> Response:
    return Response(str([len(chunk) async for chunk in request.stream()]))


async def parsed(body: dict[str, int]) -> Response:
    return Response(str(body))


async def broken() -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"half"
        raise RuntimeError("in the middle")

    return StreamingResponse(pieces())


@pytest.fixture(scope="module")
def served() -> queue.SimpleQueue[Served]:
    return queue.SimpleQueue()


@pytest.fixture(scope="module")
def client(served: queue.SimpleQueue[Served]) -> Iterator[httpx.Client]:
    app = FastAPI(openapi_url=None)
    install_error_handlers(app)
    app.add_middleware(RequestContext, observers=(served.put,))
    app.add_api_route("/things/{name}", thing)
    app.add_api_route("/upload", upload, methods=["POST"])
    app.add_api_route("/parsed", parsed, methods=["POST"])
    app.add_api_route("/broken", broken)
    with serving(app) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client


@pytest.mark.parametrize("request_id", ["a", "01J-abc.d:e+f/g=h@i", "x" * 128])
def test_a_sane_request_id_is_kept(client: httpx.Client, request_id: str) -> None:
    answer = client.get("/things/a", headers={"X-Request-ID": request_id})
    assert answer.headers["x-request-id"] == request_id


@pytest.mark.parametrize("request_id", ["", "x" * 129, "a b", "<script>", 'a"', "-a", "ü"])
def test_another_is_replaced(client: httpx.Client, request_id: str) -> None:
    answer = client.get("/things/a", headers={b"X-Request-ID": request_id.encode()})
    assert answer.headers["x-request-id"].isalnum()
    assert answer.headers["x-request-id"] != request_id


def test_every_request_has_an_id_of_its_own(client: httpx.Client) -> None:
    assert len({client.get("/things/a").headers["x-request-id"] for _ in range(5)}) == 5


def test_common_headers_and_those_of_the_record(client: httpx.Client) -> None:
    for path in ("/things/a", "/nowhere"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
    assert client.get("/things/a").headers["ratelimit"] == "x"
    assert client.get("/things/public").headers["cache-control"] == "public"


def test_observers_hear_of_the_template_not_of_the_path(
    client: httpx.Client, served: queue.SimpleQueue[Served]
) -> None:
    _drain(served)
    client.get("/things/private?since=x")
    client.get("/nowhere")
    first, second = served.get(timeout=10), served.get(timeout=10)
    assert (first.method, first.route, first.status) == ("GET", "/things/{name}", 200)
    assert first.body_bytes == len("private")
    assert first.seconds > 0
    assert (second.route, second.status) == (None, 404)


@pytest.mark.parametrize("path", ["/upload", "/parsed"])
def test_a_client_that_hangs_up_is_not_an_error(
    client: httpx.Client, served: queue.SimpleQueue[Served], path: str
) -> None:
    _drain(served)
    url = urlsplit(str(client.base_url))
    assert url.hostname
    assert url.port
    with (
        structlog.testing.capture_logs() as logs,
        socket.create_connection((url.hostname, url.port)) as connection,
    ):
        connection.sendall(
            f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            "Content-Length: 100\r\n\r\n{".encode()
        )
        connection.shutdown(socket.SHUT_RDWR)
        assert served.get(timeout=10).status == CLIENT_CLOSED_REQUEST
    assert logs == []


def test_an_answer_that_breaks_off_is_cut_and_logged(
    client: httpx.Client, served: queue.SimpleQueue[Served]
) -> None:
    _drain(served)
    with structlog.testing.capture_logs() as logs:
        with pytest.raises(httpx.RemoteProtocolError):
            client.get("/broken")
        served.get(timeout=10)
    assert [str(log["exc_info"]) for log in logs] == ["in the middle"]


def _drain(served: queue.SimpleQueue[Served]) -> None:
    while not served.empty():
        served.get()
