"""Whether a database has the tenant's own feed, which the control database names.

A wrong URL or an unfinished move may lead to another database. If the service used it, its empty
feed would look like a loss of history, and all the tenant's bytes like unused ones.
"""

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection

from syncapi.server.domain.access import TenantScope
from syncapi.server.domain.errors import Unavailable

_FEED: Final = "SELECT feed_id FROM tenant_clock WHERE tenant_id = $1"
_OPEN: Final = "SELECT feed.open($1, $2)"
_RETRY_AFTER: Final = 30.0  # seconds: an operator is needed

_SEEN: Final = "syncapi_feeds"
_GOOD_FOR: Final = 10.0  # seconds: a pooler may lead a connection elsewhere
_MOST_SEEN: Final = 1000


# $2 lineage, $3 head
_GOES_ON: Final = """
SELECT lineage = $2 AND last >= $3 OR EXISTS (
  SELECT FROM feed_forks WHERE tenant_id = $1 AND feed_forks.lineage = $2 AND forked_at >= $3)
FROM tenant_clock WHERE tenant_id = $1
"""
_HAS_GONE_ON: Final = """
SELECT lineage = $2 AND last >= $3 AND place = feed.place()
FROM tenant_clock WHERE tenant_id = $1
"""
RECENT_FORKS: Final = (
    "feed_forks AS fork WHERE fork.tenant_id = $1 AND fork.left_at > now() - interval '7 days'"
)
"""The part of a query that finds the histories of the last week, which may yet be restored."""

_MAY_BE_COPY: Final = f"""
SELECT place <> feed.place() OR EXISTS (SELECT FROM {RECENT_FORKS})
FROM tenant_clock WHERE tenant_id = $1
"""  # noqa: S608 - only our own text is put in
_PLACE: Final = "SELECT lineage, last FROM tenant_clock WHERE tenant_id = $1"
_FORK: Final = (
    "SELECT feed.fork(tenant_id) FROM tenant_clock WHERE tenant_id = $1 AND place <> feed.place()"
)


@dataclass(frozen=True, slots=True)
class FeedPlace:
    """How far a feed has come.

    Attributes:
        lineage: the history that the feed is in.
        head: its time.
    """

    lineage: bytes
    head: datetime


def require_own(scope: TenantScope, found: UUID | None) -> None:
    """Check that a feed is the scope's own.

    Args:
        scope: names the tenant and its feed.
        found: the feed of the tenant in the database; None if there is none.

    Raises:
        Unavailable: it is another feed, or there is none.
    """
    if scope.feed_id is None:
        message = (
            "The feed of this tenant is not known yet. An operator must run `syncapi migrate`."
        )
        raise Unavailable(message, retry_after=_RETRY_AFTER)
    if found == scope.feed_id:
        return
    what = "has no feed" if found is None else "has another feed than its own"
    raise Unavailable(
        f"The tenant {what} in the database '{scope.database}'. An operator must check that the "
        "tenant's row names the right database and that its URL is right; `syncapi feed open` "
        "makes the feed there the tenant's.",
        retry_after=_RETRY_AFTER,
    )


async def check_own(
    connection: AsyncConnection, driver: asyncpg.Connection, scope: TenantScope
) -> None:
    """Check that a connection leads to the scope's feed; each one is asked once in ten seconds.

    Raises:
        Unavailable: it leads to another feed, or to none.
    """
    seen: dict[tuple[UUID, UUID | None], float] = connection.info.setdefault(_SEEN, {})
    key, now = (scope.tenant_id, scope.feed_id), time.monotonic()
    if seen.get(key, 0.0) > now:
        return
    require_own(scope, await find_feed(driver, scope.tenant_id))
    if len(seen) >= _MOST_SEEN:
        seen.clear()
    seen[key] = now + _GOOD_FOR


async def find_feed(driver: asyncpg.Connection, tenant_id: UUID) -> UUID | None:
    """The id of a tenant's feed in a database; None if it has none."""
    feed: UUID | None = await driver.fetchval(_FEED, tenant_id)
    return feed


async def find_place(driver: asyncpg.Connection, tenant_id: UUID) -> FeedPlace:
    """How far a tenant's feed has come. The tenant must have one."""
    row = await driver.fetchrow(_PLACE, tenant_id)
    return FeedPlace(row["lineage"], row["last"])


async def note_fork(driver: asyncpg.Connection, tenant_id: UUID) -> None:
    """Make a feed begin a new history if it has not ticked since its server was started.

    Such a feed may be a copy of one that goes on elsewhere. Cursors of clients stay valid.
    """
    await driver.execute(_FORK, tenant_id)


async def goes_on_from(driver: asyncpg.Connection, tenant_id: UUID, place: FeedPlace) -> bool:
    """Whether a feed has passed a place. If not, it is an older copy, or was restored."""
    goes_on: bool = await driver.fetchval(_GOES_ON, tenant_id, place.lineage, place.head)
    return goes_on


async def has_gone_on(driver: asyncpg.Connection, tenant_id: UUID, start: FeedPlace) -> bool:
    """Whether a feed has only ticked since it was at a place, in the same run of its server."""
    has: bool = await driver.fetchval(_HAS_GONE_ON, tenant_id, start.lineage, start.head)
    return has


async def may_be_copy(driver: asyncpg.Connection, tenant_id: UUID) -> bool:
    """Whether a feed began a history within the last week, so that a copy may go on elsewhere.

    Then only the collector deletes bytes: it knows which ones the copy may need.
    """
    may: bool = await driver.fetchval(_MAY_BE_COPY, tenant_id)
    return may


async def open_feed(driver: asyncpg.Connection, tenant_id: UUID, feed_id: UUID) -> UUID:
    """Open a feed for a tenant unless the database has one; return the id of its feed."""
    feed: UUID = await driver.fetchval(_OPEN, tenant_id, feed_id)
    return feed
