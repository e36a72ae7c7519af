"""The feed: a page of changes in one statement, and the heads of many tenants in one query."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from syncapi.server.domain.access import TenantScope
from syncapi.server.domain.cursor import Position
from syncapi.server.domain.feed import NEVER, Head, Start, from_micros, to_micros
from syncapi.server.postgres.databases import Databases, TenantConnection
from syncapi.server.postgres.feed_identity import require_own

FeedRow = Mapping[str, Any]
"""One row of a page: the entry, and for a live document its columns and its file's.

``updated_at``, ``created_at`` and ``deleted_at`` are UTC, but have no time zone. ``s3_path`` is
None for a deleted document.
"""

_HEAD = "feed_id, last, opened_at, lineage, tombstone_floor, voided_at"

# $1 tenant  $2, $3 position  $4 upper bound of the run so far, NULL on its first page
# $5 most rows  $6 whether tombstones are wanted
# $7 tombstones are wanted only if the tenant's first stamp is not after this; NULL for always
# $8 base of the run: what appeared after it is new
# $9 lineage that the position belongs to, NULL for a time
#
# - One statement is one snapshot: the head, the page and the documents agree.
# - The keyset is spelt `tenant_id = … AND (updated_at, id) > (…)`: the three-column comparison
#   and the OR form do not stop early.
# - LATERAL … LIMIT 1 holds the planner to one index probe per row, so that a page costs the
#   same whatever the size of the tenant.
# - The document says what a row is, the entry only its place in the feed: if the two ever
#   differed, a page would still deliver no deleted document.
# - Times that are only printed have no zone: the driver reads them twice as fast.
# - The head comes in the first row alone: repeated in each it would cost a fifth of the page.
PAGE_SQL = f"""
WITH head AS MATERIALIZED (
  SELECT 1::bigint AS n, {_HEAD},
         (SELECT forked_at FROM feed_forks
          WHERE tenant_id = $1 AND lineage = $9 AND NOT is_void) AS forked_at
  FROM tenant_clock WHERE tenant_id = $1
), wanted AS MATERIALIZED (
  SELECT least($4, last) AS upper,
         $6 AND opened_at <= coalesce($7, opened_at) AS tombstones
  FROM head
), page AS (
  SELECT row_number() OVER (ORDER BY updated_at, id) AS n, * FROM (
    SELECT id, updated_at, appeared_at, is_deleted FROM feed_entries
    WHERE tenant_id = $1 AND (updated_at, id) > ($2, $3)
      AND updated_at <= (SELECT upper FROM wanted)
      AND (NOT is_deleted OR (SELECT tombstones FROM wanted))
    ORDER BY updated_at, id LIMIT $5) entry
)
SELECT
  head.feed_id, head.last, head.opened_at, head.lineage, head.tombstone_floor, head.voided_at,
  head.forked_at,
  page.id::text, page.appeared_at > $8 AS is_new,
  page.updated_at AT TIME ZONE 'UTC' AS updated_at,
  document.folder, document.filename, document.mime_type,
  document.user_id::text, document.created_by::text,
  document.created_at AT TIME ZONE 'UTC' AS created_at,
  document.deleted_at AT TIME ZONE 'UTC' AS deleted_at,
  file.id::text AS file_id, file.md5_hash, file.sha256_hash, file.file_size, file.s3_path
FROM head FULL JOIN page ON page.n = head.n
LEFT JOIN LATERAL (
  SELECT * FROM documents WHERE tenant_id = $1 AND id = page.id LIMIT 1
) document ON true
LEFT JOIN LATERAL (
  SELECT * FROM files
  WHERE tenant_id = $1 AND id = document.file_id AND NOT document.is_deleted LIMIT 1
) file ON true
ORDER BY page.n
"""  # noqa: S608 - only our own column list is put in

_HEADS = f"SELECT tenant_id, {_HEAD} FROM tenant_clock WHERE tenant_id = ANY($1)"  # noqa: S608


_VOID = "SELECT floor, mended FROM feed.void($1)"
_VOID_PUT_BACK = "SELECT feed.void_put_back($1, $2, $3)"
_VOID_SECONDS = 3600.0
"""How long a void may take: it reads all documents of the tenant."""


async def read_page(
    connection: TenantConnection, start: Start, *, most: int, with_tombstones: bool
) -> tuple[Head, Sequence[FeedRow]]:
    """Read at most `most` entries after `start`, in the feed's order, and the tenant's head.

    Raises:
        Unavailable: the database does not answer, or lacks the tenant's own feed.
    """
    rows = await connection.driver.fetch(
        PAGE_SQL,
        connection.tenant_id,
        from_micros(start.position.time),
        start.position.id,
        None if start.bound is None else from_micros(start.bound),
        most,
        with_tombstones and start.base != NEVER,
        from_micros(start.base) if start.cursor is None and not start.is_begun else None,
        from_micros(start.base),
        None if start.cursor is None else start.cursor.lineage,
    )
    require_own(connection.scope, rows[0]["feed_id"] if rows else None)
    return _make_head(rows[0]), rows if rows[0]["id"] is not None else ()


async def void_feed(tx: TenantConnection) -> tuple[datetime, int]:
    """Make every client of the tenant synchronise anew.

    Returns:
        The feed's time from now on, and how many entries differed from their documents.
    """
    row = await tx.driver.fetchrow(_VOID, tx.tenant_id)
    return row["floor"], row["mended"]


async def void_if_put_back(tx: TenantConnection, *, lineage: bytes, last: int) -> bool:
    """Void the tenant's feed if its clock was set back from `last`, which it had on this lineage.

    On another server such a clock belongs to a copy of the feed, whose next tick is a fork.
    """
    values = (tx.tenant_id, lineage, from_micros(last))
    await tx.driver.execute(f"SET LOCAL statement_timeout = '{_VOID_SECONDS:.0f}s'")
    return bool(await tx.driver.fetchval(_VOID_PUT_BACK, *values, timeout=_VOID_SECONDS))


def position(row: FeedRow) -> Position:
    """The position of a client that has this row and all before it."""
    return Position(to_micros(row["updated_at"].replace(tzinfo=UTC)), UUID(row["id"]))


class Heads:
    """Reads tenants' heads, with one query for all requests that wait in this process.

    A read that begins while a query runs joins the next query, so its head was read after it
    asked and is never stale. However many requests poll at once, one query per database runs
    (docs/decisions has the measurements of a query per poll and of NOTIFY).
    """

    def __init__(self, databases: Databases) -> None:
        self._databases = databases
        self._waiting: dict[str, _Waiters] = {}
        self._readers: dict[str, asyncio.Task[None]] = {}

    async def read(self, scope: TenantScope) -> Head:
        """The head of the scope's tenant, read after this call began.

        Raises:
            Unavailable: the database does not answer, or lacks the tenant's own feed.
        """
        database = scope.database
        # One future for each, so that a poller that hangs up does not disturb the others.
        mine: asyncio.Future[FeedRow | None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(database, {}).setdefault(scope.tenant_id, []).append(mine)
        if database not in self._readers:
            self._readers[database] = asyncio.create_task(self._drain(database))
        row = await mine
        require_own(scope, None if row is None else row["feed_id"])
        assert row is not None  # noqa: S101 - else it is not the tenant's own
        return _make_head(row)

    async def _drain(self, database: str) -> None:
        try:
            while waiters := self._waiting.pop(database, None):
                await self._answer(database, waiters)
        finally:
            del self._readers[database]

    async def _answer(self, database: str, waiters: "_Waiters") -> None:
        try:
            async with self._databases.database(database) as driver:
                rows = await driver.fetch(_HEADS, list(waiters))
        except Exception as error:  # noqa: BLE001 - each waiter gets it
            for future in _list_pending(waiters.values()):
                future.set_exception(error)
            return
        found = {row["tenant_id"]: row for row in rows}
        for tenant, futures in waiters.items():
            for future in _list_pending([futures]):
                future.set_result(found.get(tenant))


_Waiters = dict[UUID, list["asyncio.Future[FeedRow | None]"]]


def _list_pending(
    waiters: Iterable[list["asyncio.Future[FeedRow | None]"]],
) -> Iterator["asyncio.Future[FeedRow | None]"]:
    """The futures of the pollers that have not hung up."""
    return (future for futures in waiters for future in futures if not future.done())


def _make_head(row: FeedRow) -> Head:
    forked_at = row.get("forked_at")  # only the rows of a page have it
    return Head(
        last=to_micros(row["last"]),
        opened_at=to_micros(row["opened_at"]),
        lineage=row["lineage"],
        tombstone_floor=to_micros(row["tombstone_floor"]),
        voided_at=to_micros(row["voided_at"]),
        forked_at=None if forked_at is None else to_micros(forked_at),
    )
