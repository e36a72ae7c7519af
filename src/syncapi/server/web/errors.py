"""Every error as a problem document (RFC 9457): the one table from refusals to statuses."""

import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from syncapi.protocol.problems import Problem, ProblemField
from syncapi.server.domain.errors import (
    Conflict,
    ContentMismatch,
    CursorExpired,
    Forbidden,
    IdempotencyKeyReused,
    InvalidCursor,
    InvalidInput,
    NotFound,
    PreconditionFailed,
    RateLimited,
    Refusal,
    TooLarge,
    Unauthenticated,
    Unavailable,
    UnsupportedType,
    UploadIncomplete,
)
from syncapi.server.web.context import record_of
from syncapi.server.web.field_errors import field_errors

PROBLEM_MEDIA_TYPE = "application/problem+json"

STATUS: Mapping[type[Refusal], HTTPStatus] = {
    InvalidInput: HTTPStatus.BAD_REQUEST,
    InvalidCursor: HTTPStatus.BAD_REQUEST,
    Unauthenticated: HTTPStatus.UNAUTHORIZED,
    Forbidden: HTTPStatus.FORBIDDEN,
    NotFound: HTTPStatus.NOT_FOUND,
    Conflict: HTTPStatus.CONFLICT,
    UploadIncomplete: HTTPStatus.CONFLICT,
    ContentMismatch: HTTPStatus.CONFLICT,
    IdempotencyKeyReused: HTTPStatus.CONFLICT,
    CursorExpired: HTTPStatus.GONE,
    PreconditionFailed: HTTPStatus.PRECONDITION_FAILED,
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    UnsupportedType: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    RateLimited: HTTPStatus.TOO_MANY_REQUESTS,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}
"""A test holds every subclass of `Refusal` against this table."""

CLIENT_CLOSED_REQUEST = 499
"""Nobody reads this answer; the log and the metrics do (a status that nginx coined)."""

_MOST_ERRORS = 100


def problem(
    request_id: str,
    status: HTTPStatus,
    *,
    code: str,
    title: str,
    detail: str,
    refusal: Refusal | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Make the problem document that answers one request, with what a refusal has besides."""
    errors = () if refusal is None else refusal.errors[:_MOST_ERRORS]
    document = Problem(
        type=f"urn:syncapi:problem:{code}",
        title=title,
        status=status.value,
        detail=detail,
        success=False,
        code=code,
        reason=None if refusal is None else refusal.reason,
        request_id=request_id,
        errors=[ProblemField(field=e.field, message=e.message) for e in errors],
    )
    return Response(
        document.model_dump_json(),
        status_code=status.value,
        headers=headers,
        media_type=PROBLEM_MEDIA_TYPE,
    )


def refusal_problem(
    refusal: Refusal, request_id: str, headers: Mapping[str, str] | None = None
) -> Response:
    """Answer a refusal of the service."""
    seconds = refusal.retry_after
    retry_after = {} if seconds is None else {"Retry-After": str(math.ceil(seconds))}
    return problem(
        request_id,
        STATUS[type(refusal)],
        code=refusal.code,
        title=refusal.title,
        detail=refusal.detail,
        refusal=refusal,
        headers={**retry_after, **(headers or {})},
    )


def internal_problem(request_id: str) -> Response:
    """Answer an unhandled exception: it reveals nothing of its inside, the log has it all."""
    return problem(
        request_id,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        code="internal_error",
        title="Something went wrong here",
        detail="The request could not be served, and the failure was recorded. Repeating the "
        f"request is safe. If it goes on, quote the request id {request_id}.",
    )


def install_error_handlers(app: FastAPI) -> None:
    """Make every error of `app` a problem document, the framework's own ones too."""
    app.add_exception_handler(Refusal, _on_refusal)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(Exception, _on_unforeseen)


async def _on_unforeseen(_request: Request, error: Exception) -> Response:
    """The net under what stands outside of the request's context, which ends all else itself."""
    request_id = uuid4().hex
    log = structlog.get_logger("syncapi.server.web")
    log.error("unhandled exception", request_id=request_id, exc_info=error)
    answer = internal_problem(request_id)
    answer.headers["X-Request-ID"] = request_id
    return answer


async def _on_refusal(request: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, Refusal)  # noqa: S101 - as registered above
    headers = {}
    if isinstance(refusal, Unauthenticated):
        # Without an error code where no token was sent (RFC 6750 §3.1).
        error = ', error="invalid_token"' if "authorization" in request.headers else ""
        headers["WWW-Authenticate"] = f'Bearer realm="syncapi"{error}'
    return refusal_problem(refusal, record_of(request.scope).request_id, headers)


async def _on_invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - as registered above
    if _is_untyped_body(request.headers, error.errors()):
        refusal: Refusal = UnsupportedType("Send the body as Content-Type: application/json.")
    else:
        errors = field_errors(error.errors())
        detail = f"{errors[0].field}: {errors[0].message}"
        if len(errors) > 1:
            detail += f" (and {len(errors) - 1} more, see `errors`)"
        refusal = InvalidInput(detail, errors=errors)
    return refusal_problem(refusal, record_of(request.scope).request_id)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - as registered above
    request_id = record_of(request.scope).request_id
    if isinstance(error.__cause__, ClientDisconnect):
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return _method_not_allowed(request, request_id)
    refusal = _framework_refusal(request, error)
    if refusal is not None:
        return refusal_problem(refusal, request_id)
    status = HTTPStatus(error.status_code)
    return problem(
        request_id,
        status,
        code=status.phrase.lower().replace(" ", "_"),
        title=status.phrase,
        detail=str(error.detail),
        headers=error.headers,
    )


def _framework_refusal(request: Request, error: HTTPException) -> Refusal | None:
    """The refusal that says what the framework meant, or None."""
    match error.status_code:
        case HTTPStatus.BAD_REQUEST:
            return InvalidInput.of("body", "It could not be read. Check its syntax and encoding.")
        case HTTPStatus.NOT_FOUND:
            return NotFound(f"There is no {request.url.path!r} here. /docs lists what there is.")
        case HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return TooLarge(str(error.detail))
        case _:
            return None


def _method_not_allowed(request: Request, request_id: str) -> Response:
    # Of the path, not only of the first route that has it (RFC 9110).
    path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    routes = [route for route in request.app.routes if isinstance(route, APIRoute)]
    matching = (route for route in routes if route.path_regex.match(path))
    allowed = ", ".join(sorted({method for route in matching for method in route.methods or ()}))
    return problem(
        request_id,
        HTTPStatus.METHOD_NOT_ALLOWED,
        code="method_not_allowed",
        title="The path does not know this method",
        detail=f"{request.method} is not possible here. Possible: {allowed}.",
        headers={"Allow": allowed},
    )


def _is_untyped_body(headers: Headers, errors: Sequence[Any]) -> bool:
    """Whether a JSON body came under another content type, so that it was not even parsed."""
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == "application/json" or media_type.endswith("+json"):
        return False
    return any(tuple(e["loc"]) == ("body",) and isinstance(e["input"], bytes) for e in errors)
