"""Every log line takes the same road, and none tells a secret."""

import io
import json
import logging
from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest
import structlog

from syncapi.server.web.context import RequestRecord, Served, attach, current_record
from syncapi.server.web.logging import AccessLog, configure_logging

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"
SIGNED = "http://127.0.0.1:9000/b/k?X-Amz-Credential=AKIA&X-Amz-Signature=abcdef"
DATABASE = "postgresql://app:hunter2@db:5432/app"


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, before = root.handlers[:], root.level, structlog.get_config()
    yield
    structlog.configure(**before)
    root.handlers[:], root.level = handlers, level
    current_record.set(None)


def _lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def _served(status: int = 200, route: str | None = "/api/tenants/{tenant_id}/documents") -> Served:
    return Served({}, "GET", route, status, 0.0123456, 10)


def test_a_request_is_one_line_with_all_that_matters() -> None:
    stream = io.StringIO()
    configure_logging("info", "json", stream)
    tenant, user = uuid4(), uuid4()
    attach({}, RequestRecord("r-1", tenant_id=tenant, user_id=user))
    AccessLog()(_served())
    [line] = _lines(stream)
    assert line.pop("time")
    assert line == {
        "event": "request",
        "level": "info",
        "method": "GET",
        "route": "/api/tenants/{tenant_id}/documents",
        "status": 200,
        "duration_ms": 12.346,
        "request_id": "r-1",
        "tenant_id": str(tenant),
        "user_id": str(user),
    }


def test_probes_are_quiet_and_failures_are_not() -> None:
    stream = io.StringIO()
    configure_logging("info", "json", stream)
    AccessLog()(_served(route="/livez"))
    AccessLog()(_served(status=503, route="/readyz"))
    assert [(line["level"], line["status"]) for line in _lines(stream)] == [("error", 503)]


def test_the_standard_library_takes_the_same_road() -> None:
    stream = io.StringIO()
    configure_logging("info", "json", stream)
    attach({}, RequestRecord("r-2"))
    logging.getLogger("uvicorn.error").warning("Invalid HTTP %s", "request")
    [line] = _lines(stream)
    assert (line["event"], line["level"], line["request_id"]) == (
        "Invalid HTTP request",
        "warning",
        "r-2",
    )


@pytest.mark.parametrize("name", ["httpx", "botocore.auth", "aiobotocore", "sqlalchemy.engine"])
def test_libraries_that_tell_urls_and_parameters_are_quiet(name: str) -> None:
    stream = io.StringIO()
    configure_logging("debug", "json", stream)
    logging.getLogger(name).info("GET %s", SIGNED)
    assert stream.getvalue() == ""


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_secrets_in_a_traceback_are_taken_out(log_format: str) -> None:
    stream = io.StringIO()
    configure_logging("info", log_format, stream)  # type: ignore[arg-type]
    try:
        _fail(f"{SIGNED} Authorization: Bearer {TOKEN} {DATABASE}")
    except RuntimeError as error:
        structlog.get_logger().error("unhandled exception", exc_info=error)
    logging.getLogger("other").error("token %s of %s", TOKEN, DATABASE)
    text = stream.getvalue()
    assert "RuntimeError" in text
    assert "test_logging.py" in text
    for secret in ("AKIA", "abcdef", TOKEN, "hunter2", "a local variable"):
        assert secret not in text


def _fail(message: str) -> None:
    local = " ".join(["a", "local", "variable"])
    raise RuntimeError(message, len(local))


def test_console_lines_are_for_people() -> None:
    stream = io.StringIO()
    configure_logging("info", "console", stream)
    attach({}, RequestRecord("r-3", tenant_id=UUID(int=1)))
    AccessLog()(_served())
    assert "r-3" in stream.getvalue()
    assert "12.346" in stream.getvalue()
