"""A pull: one page of the changes after a position, with URLs for the bytes."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from syncapi.server.domain.access import TenantScope
from syncapi.server.domain.cursor import CursorCodec
from syncapi.server.domain.errors import CursorExpired, ExpiryReason, InvalidCursor, InvalidInput
from syncapi.server.domain.feed import Head, Run, Start, begin, from_micros, is_idle
from syncapi.server.postgres.databases import Databases
from syncapi.server.postgres.feed import FeedRow, Heads, position, read_page
from syncapi.server.redis.page_positions import PagePositions, is_drawn
from syncapi.server.storage.signing import UrlSigner
from syncapi.server.usecases.head_memory import HeadMemory
from syncapi.server.usecases.json_encoding import Json, utc
from syncapi.server.usecases.telemetry import UNCOUNTED, Activity

COUNTED_ROWS = 5000
"""Up to how many rows a client may count pages by itself: each page repeats the rows before it."""


def filters_fingerprint(*, include_deleted: bool) -> int:
    """What must stay the same from one cursor to the next."""
    return int(include_deleted)


@dataclass(frozen=True, slots=True)
class PullRequest:
    """What a client asks for: `since` or `cursor`, exactly one of them.

    Attributes:
        since: µs since the epoch.
        page: of the timestamp protocol, from 1; only with `since`. It is the `next_page` of an
            answer, or a number that the client has counted to by itself.
        per_page: rows read; tombstones that are left out do not count.
    """

    since: int | None
    cursor: str | None
    page: int = 1
    per_page: int = 100
    include_deleted: bool = True
    include_urls: bool = True

    @property
    def filters(self) -> int:
        return filters_fingerprint(include_deleted=self.include_deleted)

    @property
    def rows(self) -> int:
        """How many rows the page has at most.

        What a client has counted to by itself brings all rows of the pages before it again:
        nothing is kept of them, and documents move between the pages.
        """
        return self.per_page if is_drawn(self.page) else self.page * self.per_page

    @property
    def run(self) -> str:
        """What the numbers of the run are bound to."""
        return f"{self.since}:{self.filters}"


@dataclass(slots=True)
class Page:
    """A page in the shape of `protocol.sync.SyncPage`, for `encode`.

    Attributes:
        complete_to: the feed's time up to which the run brings everything.
        is_idle: nothing had changed, not even the cursor. Only then may the same request be
            answered 304: the cursor of a client that keeps it while the head moves on expires when
            the tombstones after it are collected.
    """

    sync_token: str
    complete_to: datetime
    has_more: bool = False
    next_page: int | None = None
    is_idle: bool = False
    added: list[Json] = field(default_factory=list)
    modified: list[Json] = field(default_factory=list)
    deleted: list[Json] = field(default_factory=list)


class Pull:
    """Serves the pages of runs."""

    def __init__(
        self,
        databases: Databases,
        heads: Heads,
        codec: CursorCodec,
        positions: PagePositions,
        signer: UrlSigner,
        *,
        url_seconds: int,
        activity: Activity = UNCOUNTED,
    ) -> None:
        """Sign URLs that last ``url_seconds``, and report to ``activity``."""
        self._databases = databases
        self._heads = heads
        self._memory = HeadMemory(databases, heads)
        self._codec = codec
        self._positions = positions
        self._signer = signer
        self._url_seconds = url_seconds
        self._activity = activity

    async def page(self, scope: TenantScope, request: PullRequest) -> Page:
        """Read one page.

        Raises:
            InvalidCursor: it is not ours, or is of another tenant or other filters.
            InvalidInput: the client has counted to a page beyond the rows that may be counted.
            CursorExpired: tombstones after it are collected, its history is lost, or the
                numbered page is no longer known.
            Unavailable: the database does not answer, or Redis where it must be asked for the
                page.
        """
        try:
            start = await self._start(scope, request)
            if await self._is_idle(scope, start):
                assert start.cursor is not None  # noqa: S101 - only a cursor can be idle
                token = self._codec.encode(start.cursor, scope.tenant_id)
                page = Page(token, from_micros(start.cursor.upper), is_idle=True)
            else:
                page = await self._read(scope, request, start)
        except CursorExpired:
            self._activity.cursor_expired()
            raise
        self._activity.page_served(
            added=len(page.added), modified=len(page.modified), deleted=len(page.deleted)
        )
        return page

    async def newest(self, scope: TenantScope) -> datetime:
        """The newest version of the tenant: no `server_time` was later.

        Raises:
            Unavailable: as `page`.
        """
        return from_micros((await self._head(scope)).last)

    async def unchanged_since(self, scope: TenantScope, cursor: str, *, filters: int) -> bool:
        """Whether a pull from this cursor would find nothing; costs no query of its own.

        Raises:
            InvalidCursor: as `page`.
            Unavailable: as `page`.
        """
        decoded = self._codec.decode(cursor, scope.tenant_id)
        is_unchanged = await self._is_idle(scope, Start.at(decoded, filters))
        if is_unchanged:
            self._activity.poll_idle()
        return is_unchanged

    async def _start(self, scope: TenantScope, request: PullRequest) -> Start:
        if request.since is None:
            assert request.cursor is not None  # noqa: S101 - the request has one of the two
            cursor = self._codec.decode(request.cursor, scope.tenant_id)
            return Start.at(cursor, request.filters)
        if not is_drawn(request.page):
            if request.page > 1 and request.rows > COUNTED_ROWS:
                raise InvalidInput.of(
                    "page",
                    f"Pages may be counted up to {COUNTED_ROWS} rows, and {request.page} pages of "
                    f"{request.per_page} are more. Send the `next_page` of the last page, or "
                    "better its `sync_token` as `cursor`.",
                )
            return Start.since(request.since, request.filters, is_begun=request.page > 1)
        kept = await self._positions.find(
            scope.tenant_id, scope.user_id, request.run, request.page
        )
        if kept is not None:
            with suppress(InvalidCursor):  # its key is no longer used
                cursor = self._codec.decode(kept, scope.tenant_id)
                return Start.at(cursor, request.filters)
        raise CursorExpired(
            f"Where page {request.page} begins is not known, or not with this `since` and "
            "`include_deleted`. Start again with page=1, or better: send the `sync_token` of the "
            "last page as `cursor`.",
            reason=ExpiryReason.PAGE_FORGOTTEN,
        )

    async def _is_idle(self, scope: TenantScope, start: Start) -> bool:
        if not start.starts_a_run:
            return False
        return is_idle(start, await self._head(scope))

    async def _head(self, scope: TenantScope) -> Head:
        head = await self._heads.read(scope)
        await self._memory.check(scope, head)
        return head

    async def _read(self, scope: TenantScope, request: PullRequest, start: Start) -> Page:
        async with self._databases.reading(scope) as connection:
            head, rows = await read_page(
                connection,
                start,
                most=request.rows + 1,
                with_tombstones=request.include_deleted,
            )
        await self._memory.check(scope, head)
        run = begin(start, head)
        has_more = len(rows) > request.rows
        rows = rows[: request.rows]
        cursor = run.cursor(position(rows[-1]) if has_more else None)
        page = Page(self._codec.encode(cursor, scope.tenant_id), from_micros(run.upper), has_more)
        self._fill(page, rows, run, sign=request.include_urls)
        if request.since is not None and has_more:
            page.next_page = await self._positions.keep(
                scope.tenant_id, scope.user_id, request.run, page.sync_token, asked=request.page
            )
        return page

    def _fill(self, page: Page, rows: Sequence[FeedRow], run: Run, *, sign: bool) -> None:
        # Only a live document has a file. One that was deleted while triggers were disabled is
        # reported as deleted, never left out.
        live = [row for row in rows if row["s3_path"] is not None]
        urls: Sequence[str | None] = [None] * len(live)
        if sign:
            urls = self._signer.sign_many(
                [row["s3_path"] for row in live], datetime.now(UTC), self._url_seconds
            )
        for row, url in zip(live, urls, strict=True):
            is_new = row["is_new"] or not run.tells_deletions
            (page.added if is_new else page.modified).append(_document(row, url))
        if run.tells_deletions:
            # A hard deletion leaves no document; then its stamp is the time of the deletion.
            page.deleted += [
                {"id": row["id"], "deleted_at": utc(row["deleted_at"] or row["updated_at"])}
                for row in rows
                if row["s3_path"] is None
            ]


def _document(row: FeedRow, url: str | None) -> Json:
    return {
        "id": row["id"],
        "folder": row["folder"],
        "filename": row["filename"],
        "mime_type": row["mime_type"],
        "user_id": row["user_id"],
        "created_at": utc(row["created_at"]),
        "created_by": row["created_by"],
        "updated_at": utc(row["updated_at"]),
        "is_deleted": False,
        "deleted_at": None,
        "deleted_by": None,
        "file": {
            "id": row["file_id"],
            "md5_hash": row["md5_hash"],
            "sha256_hash": row["sha256_hash"],
            "file_size": row["file_size"],
        },
        "download_url": url,
    }
