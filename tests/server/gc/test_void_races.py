"""A void that takes long, while others write and the collector runs."""

import asyncio

import asyncpg
import pytest

from fixtures.collecting import Collector, is_waiting
from fixtures.homes import OTHER, Homes
from fixtures.until import until
from fixtures.uploads import upload
from syncapi.server.storage.s3 import ObjectStore

_SLOW_LOOK = """
    ALTER FUNCTION feed.astray(uuid, uuid[]) RENAME TO found_astray;
    CREATE FUNCTION feed.astray(tenant uuid, among uuid[] DEFAULT NULL) RETURNS SETOF uuid
      LANGUAGE plpgsql STABLE AS $$
    BEGIN
      RETURN QUERY SELECT feed.found_astray(tenant, among);
      PERFORM pg_advisory_xact_lock(1);
    END $$
"""


@pytest.fixture
def collect(homes: Homes, store: ObjectStore) -> Collector:
    """Knows both databases."""
    return Collector(homes.databases, store, homes.control)


@pytest.fixture
async def in_other(homes: Homes) -> asyncpg.Connection:
    """The tenant has moved to the other database, which is its own."""
    await homes.move_to_other()
    return homes.other


async def lead_astray(db: asyncpg.Connection) -> None:
    async with db.transaction():
        await db.execute("SET LOCAL session_replication_role = replica")
        await db.execute("UPDATE documents SET filename = 'unseen.txt'")


async def void(homes: Homes) -> None:
    async with homes.databases.database(OTHER) as driver:
        await driver.execute("SELECT feed.void_cursors()")


@pytest.mark.parametrize("is_astray", [False, True])
async def test_what_is_written_while_a_void_looks_stops_no_collection(
    homes: Homes, in_other: asyncpg.Connection, collect: Collector, *, is_astray: bool
) -> None:
    if is_astray:
        await lead_astray(in_other)
    await in_other.execute(_SLOW_LOOK)
    await in_other.execute("SELECT pg_advisory_lock(1)")
    voiding = asyncio.create_task(void(homes))
    await until(lambda: is_waiting(in_other))
    await upload(homes.client, b"written meanwhile")
    assert await collect(homes.tenant) == {}
    assert not voiding.done()
    await in_other.execute("SELECT pg_advisory_unlock(1)")
    await voiding
    assert await collect(homes.tenant) == {}


async def test_a_void_that_mends_does_not_hide_that_tables_were_put_back(
    homes: Homes, in_other: asyncpg.Connection, collect: Collector
) -> None:
    """Its own stamps are later than anything that the collector saw."""
    await in_other.execute("CREATE TABLE kept AS TABLE tenant_clock")
    await upload(homes.client, b"precious")
    assert await collect(homes.tenant) == {}
    await in_other.execute("DELETE FROM tenant_clock; INSERT INTO tenant_clock TABLE kept")
    await lead_astray(in_other)
    await void(homes)
    assert "Nothing was deleted" in ((await collect.outcome(homes.tenant)).error or "")


async def test_a_void_leaves_those_of_before_as_they_are(
    homes: Homes, in_other: asyncpg.Connection
) -> None:
    """There may be ten thousand of them."""
    await void(homes)
    rows = await in_other.fetch("SELECT ctid, lineage FROM feed_forks")
    await void(homes)
    assert len(rows) == 2
    again = await in_other.fetch("SELECT ctid, lineage FROM feed_forks")
    assert set(rows) < set(again)
