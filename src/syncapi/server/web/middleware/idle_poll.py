"""Answers 304 to polls of tenants in which nothing has changed, before any costly work.

A poll with ``If-None-Match`` whose token and membership are known costs no query of its own: one
read of the heads serves all polls that wait. A poll that is not plainly idle goes on to the route,
which alone reports what is wrong with a request.

This middleware runs outside the request's context: an idle poll is counted, but not timed and not
logged, which would cost more than to answer it.
"""

import re
from dataclasses import dataclass
from uuid import UUID

from starlette.types import ASGIApp, Receive, Scope, Send

from syncapi.server.domain.access import Permission
from syncapi.server.domain.cursor import CURSOR_LENGTH
from syncapi.server.domain.errors import Refusal
from syncapi.server.usecases.pull import filters_fingerprint
from syncapi.server.web.middleware.request_context import NO_STORE, NOSNIFF, request_id
from syncapi.server.web.openapi import TENANT_PREFIX
from syncapi.server.web.routes.sync import SYNC_PATH, idle_etag
from syncapi.server.web.service import Service

_ROUTE = TENANT_PREFIX + SYNC_PATH
_UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_PATH = re.compile(_ROUTE.replace("{tenant_id}", f"({_UUID})"))
_BEARER = b"Bearer "
_FLAG = re.compile("true|false")
_VALID = {
    "cursor": re.compile(f"[A-Za-z0-9_-]{{{CURSOR_LENGTH}}}"),
    "include_deleted": _FLAG,
    "include_urls": _FLAG,
    "per_page": re.compile("[1-9][0-9]?|[1-4][0-9]{2}|500"),
}


class IdlePoll:
    """A pure-ASGI middleware that needs no other around it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        poll = _parse_poll(scope)
        if poll is None or not await _is_idle(poll, scope["app"].state.service):
            await self._app(scope, receive, send)
            return
        headers = [
            (b"etag", idle_etag(poll.cursor).encode()),
            (b"x-request-id", request_id(scope).encode()),
            NOSNIFF,
            NO_STORE,
        ]
        await send({"type": "http.response.start", "status": 304, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


async def _is_idle(poll: "_Poll", service: Service) -> bool:
    tenant = service.gate.cached_scope(poll.token, poll.tenant_id, Permission.READ)
    if tenant is None:
        return False
    try:
        return await service.pull.unchanged_since(tenant, poll.cursor, filters=poll.filters)
    except Refusal:
        return False


@dataclass(frozen=True, slots=True)
class _Poll:
    tenant_id: UUID
    token: str
    cursor: str
    filters: int


def _parse_poll(scope: Scope) -> _Poll | None:
    """What the request asks, if it is a poll with the right ``If-None-Match``."""
    if scope["type"] != "http" or scope["method"] != "GET":
        return None
    headers = dict(scope["headers"])
    etag, bearer = headers.get(b"if-none-match"), headers.get(b"authorization", b"")
    if etag is None or not bearer.startswith(_BEARER):
        return None
    path = _PATH.fullmatch(scope["path"].removeprefix(scope.get("root_path", "")))
    query = _parse_query(scope["query_string"])
    if path is None or query is None or idle_etag(query[0]).encode() != etag:
        return None
    token = bearer.removeprefix(_BEARER).decode("latin-1")
    return _Poll(UUID(path[1]), token, *query)


def _parse_query(query_string: bytes) -> tuple[str, int] | None:
    """The cursor and the filters' fingerprint; None unless the query is certainly valid."""
    asked: dict[str, str] = {}
    for pair in query_string.decode("latin-1").split("&"):
        name, _, value = pair.partition("=")
        if name in asked or name not in _VALID or not _VALID[name].fullmatch(value):
            return None
        asked[name] = value
    if "cursor" not in asked:
        return None
    return asked["cursor"], filters_fingerprint(
        include_deleted=asked.get("include_deleted") != "false"
    )
