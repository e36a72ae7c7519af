"""Every error is a problem document, whoever found it."""

import json
import socket
from collections.abc import Iterator
from typing import Annotated
from urllib.parse import urlsplit

import httpx
import pytest
import structlog
from fastapi import Depends, FastAPI, Header, Query
from pydantic import AwareDatetime, ConfigDict
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from fixtures.server import serving
from syncapi.protocol.base import RequestModel
from syncapi.server.domain import errors
from syncapi.server.domain.errors import FieldError, Refusal
from syncapi.server.web.app import WebOptions, build_app
from syncapi.server.web.errors import STATUS
from syncapi.server.web.query import declared_query, refuse_unknown_query

pytestmark = pytest.mark.usefixtures("every_log")

LIMIT = 1000


class Change(RequestModel):
    filename: str
    tags: tuple[int, ...] = ()


class Filters(RequestModel):
    model_config = ConfigDict(extra="forbid")

    since: AwareDatetime | None = None
    per_page: int = 20


def _with_probes() -> FastAPI:
    """The application with a few routes that fail as told."""
    app = build_app(WebOptions(request_max_bytes=LIMIT))

    @app.post("/probe/body")
    async def body(change: Change) -> Response:
        return Response(change.filename)

    @app.get("/probe/query", dependencies=[Depends(refuse_unknown_query)])
    async def query(filters: Annotated[Filters, Query()]) -> Response:
        return Response(str(filters.per_page))

    @app.get("/probe/header")
    async def header(if_match: Annotated[int, Header()]) -> Response:
        return Response(str(if_match))

    @app.get("/probe/refusal/{name}")
    async def refuse(name: str) -> Response:
        refusal: type[Refusal] = getattr(errors, name)
        raise refusal("Because.", errors=[FieldError("x", "y")], retry_after=1.2)

    @app.get("/probe/bug")
    async def bug() -> Response:
        raise RuntimeError("the secret inside")

    @app.put("/probe/body")
    async def stream(request: Request) -> Response:
        return Response(str(sum([len(chunk) async for chunk in request.stream()])))

    app.state.query_names = declared_query(app.routes)
    return app


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with serving(_with_probes()) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client


def _problem(response: httpx.Response, status: int, code: str) -> dict[str, object]:
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, object] = response.json()
    assert document["success"] is False
    assert document["status"] == status
    assert document["code"] == code
    assert document["title"]
    assert document["detail"]
    assert document["request_id"] == response.headers["x-request-id"]
    return document


def _fields(document: dict[str, object]) -> list[str]:
    assert isinstance(document["errors"], list)
    return [error["field"] for error in document["errors"]]


def _refusals(root: type[Refusal] = Refusal) -> list[type[Refusal]]:
    return [c for sub in root.__subclasses__() for c in (sub, *_refusals(sub))]


def test_every_refusal_is_in_the_table() -> None:
    assert {refusal for refusal in _refusals() if refusal.__module__ == errors.__name__}
    assert set(_refusals()) == set(STATUS)


@pytest.mark.parametrize("refusal", STATUS)
def test_a_refusal_becomes_its_problem(client: httpx.Client, refusal: type[Refusal]) -> None:
    response = client.get(f"/probe/refusal/{refusal.__name__}")
    document = _problem(response, STATUS[refusal].value, refusal.code)
    assert document["detail"] == "Because."
    assert document["errors"] == [{"field": "x", "message": "y"}]
    assert response.headers["retry-after"] == "2"


def test_only_401_challenges_and_says_so_where_a_token_was_sent(client: httpx.Client) -> None:
    path = "/probe/refusal/Unauthenticated"
    assert client.get(path).headers["www-authenticate"] == 'Bearer realm="syncapi"'
    answer = client.get(path, headers={"Authorization": "Bearer nonsense"})
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    assert "www-authenticate" not in client.get("/probe/refusal/Forbidden").headers


def test_an_unknown_path(client: httpx.Client) -> None:
    document = _problem(client.get("/nowhere?token=secret"), 404, "not_found")
    assert "/nowhere" in str(document["detail"])
    assert "secret" not in str(document)


def test_a_trailing_slash_is_not_redirected(client: httpx.Client) -> None:
    _problem(client.get("/probe/query/"), 404, "not_found")


def test_a_wrong_method_tells_all_methods_of_the_path(client: httpx.Client) -> None:
    response = client.delete("/probe/body")
    _problem(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "POST, PUT"


@pytest.mark.parametrize(
    ("content", "fields"),
    [
        (b'{"filename": "a"', ["body"]),
        (b"\xff\xfe", ["body"]),
        (b"[" * 900, ["body"]),
        (b"", ["body"]),
        (b"[]", ["body"]),
        (b'{"filename": 7}', ["body.filename"]),
        (b'{"filename": "a", "tags": [1, "x"], "extra": 1}', ["body.tags.1", "body.extra"]),
        (b'{"filename": "a", "\\ud800": 1}', ["body"]),
    ],
)
def test_a_wrong_body(client: httpx.Client, content: bytes, fields: list[str]) -> None:
    headers = {"Content-Type": "application/json"}
    response = client.post("/probe/body", content=content, headers=headers)
    assert _fields(_problem(response, 400, "invalid_request")) == fields


def test_a_body_of_another_type(client: httpx.Client) -> None:
    for headers in ({"Content-Type": "text/plain"}, {}):
        response = client.post("/probe/body", content=b'{"filename": "a"}', headers=headers)
        _problem(response, 415, "unsupported_type")


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("per_page=x", ["per_page"]),
        ("since=yesterday&per_page=x", ["since", "per_page"]),
        ("sinse=2026-01-01T00:00:00Z", ["sinse"]),
        ("per_page=1&per_page=2", ["per_page"]),
    ],
)
def test_a_wrong_query(client: httpx.Client, query: str, fields: list[str]) -> None:
    app_wide = client.get(f"/probe/query?{query}")
    assert _fields(_problem(app_wide, 400, "invalid_request")) == fields


def test_a_wrong_header(client: httpx.Client) -> None:
    response = client.get("/probe/header", headers={"If-Match": "x"})
    assert _fields(_problem(response, 400, "invalid_request")) == ["header.If-Match"]


def test_an_unhandled_exception_tells_nothing_but_its_request_id(client: httpx.Client) -> None:
    with structlog.testing.capture_logs() as logs:
        response = client.get("/probe/bug", headers={"X-Request-ID": "mine-1"})
    document = _problem(response, 500, "internal_error")
    assert document["request_id"] == "mine-1"
    assert "secret" not in response.text
    assert [str(log["exc_info"]) for log in logs if "exc_info" in log] == ["the secret inside"]


async def test_so_is_a_failure_outside_of_the_requests_context() -> None:
    class Broken:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, _scope: Scope, _receive: Receive, _send: Send) -> None:
            raise RuntimeError("the secret inside")

    app = build_app()
    app.add_middleware(Broken)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        with structlog.testing.capture_logs() as logs:
            response = await client.get("/livez")
    document = _problem(response, 500, "internal_error")
    assert "secret" not in response.text
    assert [log["request_id"] for log in logs] == [document["request_id"]]


def test_a_declared_body_over_the_limit_is_refused_before_it_is_sent(client: httpx.Client) -> None:
    answer = _raw(client, b"Content-Length: 1001\r\nExpect: 100-continue\r\n", b"")
    assert b"100 Continue" not in answer
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "too_large"


def test_a_chunked_body_over_the_limit_is_refused_as_it_comes(client: httpx.Client) -> None:
    chunk = b"1f4\r\n" + b"x" * 500 + b"\r\n"
    answer = _raw(client, b"Transfer-Encoding: chunked\r\n", chunk * 3)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "too_large"


def test_a_body_at_the_limit_is_taken(client: httpx.Client) -> None:
    content = json.dumps({"filename": "a" * (LIMIT - len('{"filename": ""}'))}).encode()
    assert len(content) == LIMIT
    headers = {"Content-Type": "application/json"}
    assert client.post("/probe/body", content=content, headers=headers).status_code == 200


def _raw(client: httpx.Client, headers: bytes, body: bytes) -> bytes:
    """Speak HTTP by hand, and give all that comes back."""
    url = urlsplit(str(client.base_url))
    assert url.hostname
    assert url.port
    with socket.create_connection((url.hostname, url.port), timeout=10) as connection:
        connection.sendall(
            b"POST /probe/body HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            b"Content-Type: application/json\r\n" + headers + b"\r\n" + body
        )
        answer = b""
        while piece := connection.recv(65_536):
            answer += piece
    return answer
