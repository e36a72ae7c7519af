"""Tables that are put back in a running server, as by `pg_restore --data-only` of some of them."""

from collections.abc import Awaitable, Callable
from uuid import uuid4

import asyncpg
import pytest

from fixtures.pulling import BEGINNING, Replica, ask, problem_of, pull
from fixtures.service import TestTenant
from fixtures.writing import MakeWriter, SqlWriter
from soak.session import session
from syncapi.server.domain.access import operator
from syncapi.server.domain.errors import Unavailable
from syncapi.server.postgres.databases import Databases
from syncapi.server.postgres.engines import DEFAULT_DATABASE, DatabaseUrls, PoolLimits
from syncapi.server.postgres.feed import Heads
from syncapi.server.usecases.head_memory import HeadMemory

TABLES = ("feed_entries", "document_history", "tenant_clock", "documents")


@pytest.fixture
async def writer(tenant: TestTenant, make_writer: MakeWriter) -> SqlWriter:
    return await make_writer(tenant.id)


async def dump(writer: SqlWriter) -> Callable[[], Awaitable[None]]:
    """Keep the tenant's rows as they are now; returns what puts them back, past the triggers."""
    db, suffix = writer.connection, uuid4().hex[:8]
    for table in TABLES:
        kept = f"CREATE TEMP TABLE {table}_{suffix} AS SELECT * FROM {table} WHERE tenant_id = $1"
        await db.execute(kept.replace("$1", f"'{writer.tenant_id}'"))

    async def put_back() -> None:
        async with db.transaction():
            await db.execute("SET LOCAL session_replication_role = replica")
            for table in TABLES:
                await db.execute(f"DELETE FROM {table} WHERE tenant_id = $1", writer.tenant_id)
                await db.execute(f"INSERT INTO {table} SELECT * FROM {table}_{suffix}")

    return put_back


async def clock(writer: SqlWriter) -> asyncpg.Record:
    query = "SELECT * FROM tenant_clock WHERE tenant_id = $1"
    return await writer.connection.fetchrow(query, writer.tenant_id)


@pytest.mark.parametrize("is_polled", [False, True], ids=["a-page-notices", "a-poll-notices"])
async def test_the_service_notices_and_breaks_with_what_clients_know(
    tenant: TestTenant, writer: SqlWriter, *, is_polled: bool
) -> None:
    """Nobody is led on, also when new stamps have passed those that were lost."""
    kept = await writer.insert_one()
    idle = (await pull(tenant.viewer, since=BEGINNING)).sync_token  # once all is put back
    put_back = await dump(writer)
    lost = await writer.insert_one()
    replica = Replica(tenant.viewer)
    await replica.pull_run()
    assert set(replica.documents) == {kept, lost}
    before = await clock(writer)
    await put_back()
    query = {"cursor": idle} if is_polled else {"since": BEGINNING}
    problem_of(await ask(tenant.viewer, **query), 503, "unavailable")
    after = await clock(writer)
    assert after["lineage"] != before["lineage"]
    assert after["voided_at"] > before["last"]
    await writer.insert_one()
    problem = problem_of(
        await ask(tenant.viewer, cursor=replica.token or ""), 410, "cursor_expired"
    )
    assert problem.reason == "history_lost"
    fresh = Replica(tenant.viewer)
    await fresh.pull_run()
    assert fresh.documents == await writer.live()


async def test_answers_that_overtake_each_other_are_no_alarm(
    tenant: TestTenant, writer: SqlWriter, databases: Databases
) -> None:
    heads = Heads(databases)
    memory = HeadMemory(databases, heads)
    early = await heads.read(tenant.scope())
    await writer.insert_one()
    late = await heads.read(tenant.scope())
    before = await clock(writer)
    for head in (late, early, late):
        await memory.check(tenant.scope(), head)
    assert await clock(writer) == before


async def test_what_a_fork_will_part_is_not_voided(tenant: TestTenant, writer: SqlWriter) -> None:
    """A promoted standby that lags: cursors from before the fork go on, as they do without us."""
    await writer.insert_one()
    early = await writer.last_stamp()
    token = (await pull(tenant.viewer, since=BEGINNING)).sync_token
    await writer.insert_one()
    await pull(tenant.viewer, since=BEGINNING)
    await writer.connection.execute(
        "UPDATE tenant_clock SET last = $2, place = 'the old primary' WHERE tenant_id = $1",
        tenant.id,
        early,
    )
    await pull(tenant.viewer, cursor=token)
    assert (await clock(writer))["last"] == early


async def test_a_void_may_take_longer_than_other_statements(
    create_migrated_database: Callable[[], str],
) -> None:
    """As of a tenant with millions of documents; here reconciling sleeps."""
    url = create_migrated_database()
    limits = PoolLimits(size=2, statement_timeout=1.0)
    async with session(url) as db, Databases(DatabaseUrls(url), limits) as databases:
        await db.execute("""
            CREATE OR REPLACE FUNCTION feed.reconcile(tenant uuid) RETURNS bigint
              LANGUAGE plpgsql VOLATILE AS $$ BEGIN PERFORM pg_sleep(2.5); RETURN 0; END $$
        """)
        tenant, feed = uuid4(), uuid4()
        scope = operator(tenant, DEFAULT_DATABASE, feed)
        await db.execute("SELECT feed.open($1, $2)", tenant, feed)
        heads = Heads(databases)
        memory = HeadMemory(databases, heads)
        before = await heads.read(scope)
        await memory.check(scope, before)
        await db.execute("UPDATE tenant_clock SET last = last - interval '1 minute'")
        with pytest.raises(Unavailable, match="put back"):
            await memory.check(scope, await heads.read(scope))
        assert (await heads.read(scope)).lineage != before.lineage
