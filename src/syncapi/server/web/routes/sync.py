"""Pull and push: what changed here, and what a client changed."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from syncapi.protocol.base import Instant, Success, format_time
from syncapi.protocol.push import PushOutcome, PushRequest
from syncapi.protocol.sync import SyncPage
from syncapi.server.domain.access import TenantScope
from syncapi.server.domain.cursor import CURSOR_LENGTH
from syncapi.server.domain.errors import FieldError, InvalidInput
from syncapi.server.domain.feed import from_micros, to_micros
from syncapi.server.redis.page_positions import LAST_PAGE
from syncapi.server.usecases.json_encoding import encode
from syncapi.server.usecases.pull import Page, Pull, PullRequest
from syncapi.server.web.dependencies import ReadScope, RunningService, WriteScope
from syncapi.server.web.openapi import header, problems, tenant_router
from syncapi.server.web.preconditions import names
from syncapi.server.web.responses import success_json

router: APIRouter = tenant_router("sync")

SYNC_PATH = "/documents/sync"

_CLOCK_SKEW = timedelta(seconds=60)  # of clients, forgiven

Since = Annotated[
    Instant | None,
    Query(
        description="Start a run with everything written after this time (ISO 8601 with an "
        "offset). From before the tenant's first document it means that the client holds nothing.",
        examples=["1970-01-01T00:00:00Z"],
    ),
]
CursorText = Annotated[
    str | None,
    Query(
        description="The `sync_token` of the last page.",
        max_length=CURSOR_LENGTH,
    ),
]
PageNumber = Annotated[
    int,
    Query(
        ge=1,
        le=LAST_PAGE,
        deprecated=True,
        description="For clients of the timestamp protocol: with `since`, the `next_page` of the "
        "last page. Send `sync_token` as `cursor` instead.",
    ),
]


async def pull_request(
    *,
    since: Since = None,
    cursor: CursorText = None,
    include_deleted: Annotated[bool, Query(description="Whether to list deletions.")] = True,
    per_page: Annotated[int, Query(ge=1, le=500, description="Rows to a page.")] = 100,
    include_urls: Annotated[bool, Query(description="Whether to sign URLs.")] = True,
    page: PageNumber = 1,
) -> PullRequest:
    """Hold `since` and `cursor` against each other.

    Raises:
        InvalidInput: none or both of them, or a page of a cursor.
    """
    if (since is None) == (cursor is None):
        message = "Send either `since`, to start, or `cursor`, to go on."
        fields = ("since",) if since is None else ("since", "cursor")
        raise InvalidInput(message, errors=[FieldError(name, message) for name in fields])
    if cursor is not None and page != 1:
        raise InvalidInput.of("page", "It goes with `since`. A cursor knows its place by itself.")
    return PullRequest(
        None if since is None else to_micros(since),
        cursor,
        page,
        per_page,
        include_deleted,
        include_urls,
    )


@router.get(
    SYNC_PATH,
    operation_id="pullChanges",
    summary="Pull what changed",
    response_model=Success[SyncPage],
    responses={
        200: {"description": "A page of changes.", "headers": header("ETag")},
        304: {"description": "Nothing changed since; of polls with `If-None-Match`."},
        **problems(410),
    },
)
async def pull_changes(
    request: Request,
    scope: ReadScope,
    asked: Annotated[PullRequest, Depends(pull_request)],
    service: RunningService,
) -> Response:
    """Give what was added, modified and deleted, in the order of writing, a page at a time.

    Apply a page whole, store its `sync_token` with it, and send that as `cursor`: while
    `has_more` for the run's next page, afterwards for what is new. A page may repeat documents;
    it never skips one. A page without changes carries an `ETag`: polls that send it as
    `If-None-Match` cost next to nothing.
    """
    await _refuse_future(scope, asked, service.pull)
    page = await service.pull.page(scope, asked)
    headers = {}
    if page.is_idle and asked.cursor is not None:
        headers["ETag"] = idle_etag(asked.cursor)
        if names(request.headers.getlist("If-None-Match"), headers["ETag"]):
            return Response(status_code=304, headers=headers)
    body = {
        "added": page.added,
        "modified": page.modified,
        "deleted": page.deleted,
        "sync_token": page.sync_token,
        "has_more": page.has_more,
        "next_page": page.next_page,
        "server_time": format_time(page.complete_to),
    }
    return success_json(_message(page), encode(body), headers=headers)


def idle_etag(cursor: str) -> str:
    """The validator of the empty page behind a cursor: while it is empty it is always the same."""
    return f'W/"{cursor[-16:]}"'


async def _refuse_future(scope: TenantScope, asked: PullRequest, pull: Pull) -> None:
    """See that `since` is no mistake: neither we nor the tenant's feed are anywhere near it.

    The feed may be ahead of us: it goes by the database's clock, and never back.
    """
    if asked.since is None:
        return
    since, now = from_micros(asked.since), datetime.now(UTC)
    if since <= now + _CLOCK_SKEW or since <= await pull.newest(scope) + _CLOCK_SKEW:
        return
    raise InvalidInput.of("since", f"It lies in the future: it is {format_time(now)} here.")


def _message(page: Page) -> str:
    found = len(page.added) + len(page.modified) + len(page.deleted)
    return f"{found} changes, more to come" if page.has_more else f"{found} changes, up to date"


@router.post(
    SYNC_PATH,
    operation_id="pushChanges",
    summary="Push changes",
    response_model=Success[PushOutcome],
    responses={
        200: {"description": "One result per change, in their order."},
        **problems(413, 415),
    },
)
async def push_changes(scope: WriteScope, asked: PushRequest, service: RunningService) -> Response:
    """Apply the changes that a client made, with optimistic concurrency.

    Every change gets its own result. One that was made from another version than the server's is
    a conflict, which carries both sides; `on_conflict` says what the server does then. Nothing
    is overwritten without a trace: every version stays in the document's history. Sending the
    same push again is harmless, whatever became of the first: a change is known by its
    `change_id`.
    """
    outcome = await service.pushes.push(scope, asked)
    counts = sorted(outcome.statuses.items())
    message = ", ".join(f"{count} {status}" for status, count in counts)
    return success_json(message, encode({"results": outcome.results}))
