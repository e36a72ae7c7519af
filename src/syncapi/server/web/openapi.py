"""The API's description (OpenAPI 3.1), made for people and for generators of clients."""

from http import HTTPStatus
from typing import Final

import orjson
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.openapi.utils import get_openapi
from starlette.responses import Response

from syncapi.protocol.problems import Problem
from syncapi.server.web.errors import PROBLEM_MEDIA_TYPE
from syncapi.server.web.openapi_cleanup import (
    Json,
    named,
    plain_parameter,
    with_plain_booleans,
    without_titles,
)
from syncapi.server.web.query import refuse_unknown_query

TENANT_PREFIX: Final = "/api/tenants/{tenant_id}"

_SCHEMA = "#/components/schemas/"
_HEADER = "#/components/headers/"
_SERVERS = [
    {"url": "http://127.0.0.1:4999", "description": "A service started by `make run`"},
]
_TAGS = [
    {"name": "documents", "description": "Documents and their files, one at a time."},
    {"name": "files", "description": "Bytes that go straight to the object store."},
    {"name": "sync", "description": "Many documents at a time: keep a local copy in step."},
    {"name": "health", "description": "For load balancers and orchestrators. No token needed."},
]
_DESCRIPTION = """\
Keeps many clients' local copies of a tenant's documents in step with the server.

**Authorize** with a bearer token. Every path under `/api/tenants/{tenant_id}` needs one, of a
member of that tenant.

A success is `{"success": true, "message": …, "data": …}`. An error is a problem document
(RFC 9457) of type `application/problem+json`: branch on its `code`, show its `detail`, quote its
`request_id`. Times are UTC in ISO 8601 with microseconds. Unknown query parameters and fields of
a body are errors that name them.
"""
_MEANINGS = {
    400: "The request is not valid; `errors` names each wrong field.",
    401: "No bearer token, or one that does not verify.",
    403: "A member whose role does not allow this.",
    404: "No such thing, or not yours: the two look alike.",
    409: "The state of the server forbids it.",
    410: "The cursor has expired: start again from a full listing.",
    412: "`If-Match` names another version.",
    413: "Over a limit in bytes.",
    415: "The media type is not accepted.",
    429: "Too many requests: come back after `Retry-After` seconds.",
    500: "Something went wrong in the service; repeating the request is safe.",
    503: "A dependency is down: come back after `Retry-After` seconds.",
}
_HEADERS: Json = {
    "X-Request-ID": {
        "description": "The id of this request in the service's logs; the client's own, if sent.",
        "schema": {"type": "string"},
    },
    "Retry-After": {
        "description": "Seconds until a retry may succeed (RFC 9110).",
        "schema": {"type": "integer", "minimum": 0},
    },
    "WWW-Authenticate": {
        "description": "The challenge (RFC 6750).",
        "schema": {"type": "string"},
    },
    "RateLimit": {
        "description": "What is left of the member's quota, and when it is filled up again.",
        "schema": {"type": "string"},
        "example": '"member";r=2999;t=60',
    },
    "RateLimit-Policy": {
        "description": "The member's quota, and the seconds it is for.",
        "schema": {"type": "string"},
        "example": '"member";q=3000;w=60',
    },
    "ETag": {
        "description": "The version, as a weak validator for `If-Match` and `If-None-Match`.",
        "schema": {"type": "string"},
    },
}
_OF_EVERY_ANSWER = ("X-Request-ID",)
_OF_A_MEMBERS_ANSWER = ("RateLimit", "RateLimit-Policy")
_OF_A_BODY = (400, 413, 415)
_BEFORE_COUNTING = frozenset({"401", "403"})
_OF_STATUS = {401: ("WWW-Authenticate",), 429: ("Retry-After",), 503: ("Retry-After",)}


def problems(*statuses: int) -> dict[int | str, Json]:
    """The errors of a route, for its ``responses``."""
    return {status: _problem(status) for status in statuses}


def tenant_router(tag: str) -> APIRouter:
    """A router below the tenant's path, with the errors that every route there can give."""
    return APIRouter(
        prefix=TENANT_PREFIX, tags=[tag], responses=problems(400, 401, 403, 404, 429, 500, 503)
    )


def header(name: str) -> Json:
    """One response header that is described once for all routes."""
    return {name: {"$ref": _HEADER + name}}


def describe(app: FastAPI) -> Json:
    """Describe the routes of `app`."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=_DESCRIPTION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        servers=list(_SERVERS),
        tags=list(_TAGS),
        routes=app.routes,
    )
    components = document.setdefault("components", {})
    components["headers"] = _HEADERS
    _replace_validation_errors(components.setdefault("schemas", {}))
    for operation in _operations(document):
        _finish(operation)
    for part in ("components", "paths"):
        document[part] = with_plain_booleans(without_titles(document[part]))
    return named(document)


def _problem(status: int) -> Json:
    return {
        "description": _MEANINGS[status],
        "content": {PROBLEM_MEDIA_TYPE: {"schema": {"$ref": f"{_SCHEMA}Problem"}}},
    }


def _replace_validation_errors(schemas: Json) -> None:
    """Put our problem where the framework describes the errors it would have given."""
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    problem = Problem.model_json_schema(ref_template=_SCHEMA + "{model}", mode="serialization")
    schemas.update(problem.pop("$defs"))
    schemas["Problem"] = problem


def _operations(document: Json) -> list[Json]:
    return [operation for path in document["paths"].values() for operation in path.values()]


def _finish(operation: Json) -> None:
    """Declare what the service adds to every route, and take out the framework's 422."""
    responses = operation["responses"]
    responses.pop(str(HTTPStatus.UNPROCESSABLE_ENTITY.value), None)
    if "requestBody" in operation:
        for status in _OF_A_BODY:
            responses.setdefault(str(status), _problem(status))
    for status, response in responses.items():
        names = [*_OF_EVERY_ANSWER, *_OF_STATUS.get(int(status), ())]
        if "security" in operation and status not in _BEFORE_COUNTING:
            names += _OF_A_MEMBERS_ANSWER
        for name in names:
            response.setdefault("headers", {}).update(header(name))
    for parameter in operation.get("parameters", ()):
        plain_parameter(parameter)


router = APIRouter(include_in_schema=False, dependencies=[Depends(refuse_unknown_query)])


@router.get("/openapi.json")
async def openapi(request: Request) -> Response:
    """Answer the description with this very service as the server."""
    here = {"url": request.scope.get("root_path") or "/", "description": "This service"}
    document = {**request.app.openapi(), "servers": [here]}
    return Response(orjson.dumps(document), media_type="application/json")
