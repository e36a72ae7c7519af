"""Every way to be refused, as an exception of its own; and answers that are none of the API's."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest

from fixtures.client_faults import WatchedRetries
from fixtures.client_service import MakeClient
from fixtures.raw_server import CLOSED, RawServer, raw_answer
from fixtures.server import serving
from fixtures.service import TestTenant
from syncapi.client import (
    ApiError,
    BytesContent,
    Client,
    Conflict,
    CursorExpired,
    Forbidden,
    InvalidCursor,
    InvalidRequest,
    NotFound,
    PreconditionFailed,
    RateLimited,
    RetryPolicy,
    ServerError,
    SyncError,
    TooLarge,
    TransferError,
    Unauthenticated,
    UnexpectedAnswer,
    Unreachable,
    UnsupportedType,
    digest_of,
)
from syncapi.client.errors import error_of
from syncapi.protocol.documents import DocumentChanges
from syncapi.protocol.files import FileDeclaration
from syncapi.protocol.problems import Problem
from syncapi.server.domain.access import Role
from syncapi.server.main import create_app
from syncapi.server.settings import Settings

ONCE = WatchedRetries(attempts=1)


@asynccontextmanager
async def asking(
    *answers: bytes, retry: RetryPolicy = ONCE
) -> AsyncIterator[tuple[RawServer, Client]]:
    """A server that gives these answers, and a client that asks it."""
    async with (
        RawServer.answering(*answers) as server,
        Client(server.url, uuid4(), "token", retry=retry) as client,
    ):
        yield server, client


def problem(status: int, code: str) -> Problem:
    return Problem(
        type=f"urn:syncapi:problem:{code}",
        title="Title",
        status=status,
        detail="What happened.",
        success=False,
        code=code,
        request_id="r1",
        errors=[],
    )


def declaration(size: int = 3) -> FileDeclaration:
    digest = digest_of(BytesContent(b"abc"))
    return FileDeclaration(
        sha256_hash=digest.sha256_hash,
        md5_hash=digest.md5_hash,
        file_size=size,
        mime_type="text/x-refused",
    )


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "invalid_request", InvalidRequest),
        (400, "invalid_cursor", InvalidCursor),
        (401, "unauthenticated", Unauthenticated),
        (403, "forbidden", Forbidden),
        (404, "not_found", NotFound),
        (405, "method_not_allowed", ApiError),
        (409, "conflict", Conflict),
        (409, "upload_incomplete", Conflict),
        (410, "cursor_expired", CursorExpired),
        (412, "precondition_failed", PreconditionFailed),
        (413, "too_large", TooLarge),
        (415, "unsupported_type", UnsupportedType),
        (429, "rate_limited", RateLimited),
        (500, "internal_error", ServerError),
        (503, "unavailable", ServerError),
    ],
)
async def test_a_problem_is_an_exception_of_its_kind(
    status: int, code: str, kind: type[ApiError]
) -> None:
    told = problem(status, code)
    body = told.model_dump_json().encode()
    answer = raw_answer(status, body, content_type="application/problem+json", retry_after="7")
    async with asking(answer) as (_server, client):
        with pytest.raises(ApiError) as raised:
            await client.documents()
    assert type(raised.value) is kind
    assert raised.value.problem == told
    assert (raised.value.code, raised.value.request_id) == (code, "r1")
    assert raised.value.retry_after == 7
    assert isinstance(raised.value, SyncError)
    assert type(error_of(told)) is kind


async def test_a_wrong_field_is_named(client: Client) -> None:
    with pytest.raises(InvalidRequest) as raised:
        await client.documents(page=0)
    assert [error.field for error in raised.value.problem.errors] == ["page"]
    assert re.fullmatch(r"[0-9a-f-]{32,36}", raised.value.request_id)


async def test_the_service_refuses_in_these_words(
    client: Client, make_client: MakeClient, tenant: TestTenant
) -> None:
    document = await client.upload_document(b"abc", "a.txt")
    other = Client(client.base_url, uuid4(), tenant.tokens[Role.ADMIN])
    stranger = make_client(tenant, token="no-token")
    viewer = make_client(tenant, Role.VIEWER)
    async with other:
        with pytest.raises(NotFound):
            await other.documents()
    with pytest.raises(Unauthenticated):
        await stranger.documents()
    with pytest.raises(Forbidden):
        await viewer.upload_document(b"abc", "a.txt")
    with pytest.raises(InvalidCursor):
        await client.pull(cursor="none of ours")
    with pytest.raises(NotFound):
        await client.restore(document.id, document.updated_at.replace(year=2000))
    with pytest.raises(TooLarge):
        await client.declare(declaration(60 * 1024**3))
    with pytest.raises(InvalidRequest):
        await client.change_document(document.id, DocumentChanges(file_id=uuid4()))
    key = uuid4().hex
    await client.restore(document.id, idempotency_key=key)
    with pytest.raises(Conflict) as raised:
        await client.upload_document(b"other", "b.txt", idempotency_key=key)
    assert raised.value.code == "idempotency_key_reused"


async def test_types_that_are_not_taken(
    make_client: MakeClient, tenant: TestTenant, settings: Settings
) -> None:
    own = settings.model_copy(update={"upload_allowed_types": ("image/*",)})
    with serving(create_app(own)) as url:
        client = make_client(tenant, url=url)
        with pytest.raises(UnsupportedType):
            await client.declare(declaration())
        with pytest.raises(UnsupportedType):
            await client.upload_document(b"abc", "a.txt")


@pytest.mark.parametrize(
    ("status", "kind", "told"),
    [
        (200, UnexpectedAnswer, 502),
        (204, UnexpectedAnswer, 502),
        (302, UnexpectedAnswer, 502),
        (404, UnexpectedAnswer, 404),
        (410, UnexpectedAnswer, 410),
        (401, Unauthenticated, 401),
        (429, RateLimited, 429),
        (500, ServerError, 500),
        (502, ServerError, 502),
    ],
)
async def test_an_answer_that_is_not_the_apis(
    status: int, kind: type[ApiError], told: int
) -> None:
    body = b"" if status == 204 else b"<h1>Welcome to the Wi-Fi</h1>"
    answer = raw_answer(status, body, content_type="text/html", x_request_id="proxy-1")
    async with asking(answer) as (_server, client):
        with pytest.raises(ApiError) as raised:
            await client.pull(cursor=None)
    error = raised.value
    assert type(error) is kind
    assert (error.code, error.problem.status) == ("unexpected_answer", told)
    assert error.request_id == "proxy-1"
    assert f"{status} " in error.message
    assert "text/html" in error.message
    assert "since" not in error.message, "queries may hold secrets"
    assert error.hint is not None
    assert "address" in error.hint


@pytest.mark.parametrize("body", [b"[]", b'{"success": true, "data": {"added": 3}}', b"\xff{"])
async def test_json_that_is_not_the_apis(body: bytes) -> None:
    answer = raw_answer(200, body, content_type="application/json")
    async with asking(answer) as (_server, client):
        with pytest.raises(UnexpectedAnswer):
            await client.pull(cursor=None)


async def test_nobody_there() -> None:
    async with asking(CLOSED) as (server, client):
        with pytest.raises(Unreachable, match=f"No answer from {server.url}: ") as raised:
            await client.documents()
    assert raised.value.hint
    async with Client(server.url, uuid4(), "token", retry=ONCE) as client:
        with pytest.raises(Unreachable, match="All connection attempts failed"):
            await client.documents()


async def test_not_ready_is_said_at_once() -> None:
    body = problem(503, "unavailable").model_dump_json().encode()
    async with asking(raw_answer(503, body), retry=WatchedRetries()) as (server, client):
        with pytest.raises(ServerError):
            await client.ready()
        assert server.count == 1


async def test_an_archive_that_is_cut_off() -> None:
    answer = raw_answer(200, b"PK", content_type="application/zip", content_length="1000")
    async with asking(answer) as (_server, client), client.archive([uuid4()]) as pieces:
        with pytest.raises(TransferError, match="cut off"):
            async for _ in pieces:
                pass


async def test_an_archive_that_is_refused() -> None:
    body = problem(403, "forbidden").model_dump_json().encode()
    async with asking(raw_answer(403, body)) as (_server, client):
        with pytest.raises(Forbidden):
            async with client.archive([uuid4()]):
                pass
