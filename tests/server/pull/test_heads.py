"""Reads of heads are shared, and none of them is stale."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from uuid import UUID, uuid4

import pytest

from fixtures.postgres_relay import PostgresRelay
from fixtures.writing import MakeWriter, SqlWriter
from syncapi.server.domain.access import TenantScope, operator
from syncapi.server.domain.errors import Unavailable
from syncapi.server.domain.feed import to_micros
from syncapi.server.postgres.databases import Databases
from syncapi.server.postgres.engines import DatabaseUrls, PoolLimits
from syncapi.server.postgres.feed import Heads

DEFAULT, RELAYED = "default", "relayed"


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def relayed(database_url: str, stack: AsyncExitStack) -> tuple[PostgresRelay, str]:
    return await stack.enter_async_context(PostgresRelay.to(database_url))


@pytest.fixture
def relay(relayed: tuple[PostgresRelay, str]) -> PostgresRelay:
    return relayed[0]


@pytest.fixture
async def heads(
    database_url: str, relayed: tuple[PostgresRelay, str], stack: AsyncExitStack
) -> Heads:
    """Heads of one database under two names: as it is, and through the relay."""
    urls = DatabaseUrls(database_url, named={RELAYED: relayed[1]})
    databases = await stack.enter_async_context(Databases(urls, PoolLimits(size=2)))
    return Heads(databases)


@pytest.fixture
async def writer(make_writer: MakeWriter) -> SqlWriter:
    writer = await make_writer(uuid4())
    await writer.insert_one()
    return writer


def scope(database: str, writer: SqlWriter) -> TenantScope:
    return operator(writer.tenant_id, database, writer.feed_id)


async def last(writer: SqlWriter) -> int:
    return to_micros(await writer.last_stamp())


async def held_read(heads: Heads, relay: PostgresRelay, writer: SqlWriter) -> asyncio.Task[object]:
    """A read that the server has answered, and whose answer is on its way."""
    await heads.read(scope(RELAYED, writer))  # connected, and the statement prepared
    relay.hold_answers()
    read: asyncio.Task[object] = asyncio.create_task(heads.read(scope(RELAYED, writer)))
    await relay.answer_is_held()
    return read


async def test_the_head_of_a_tenant(heads: Heads, writer: SqlWriter) -> None:
    head = await heads.read(scope(DEFAULT, writer))
    assert head.last == await last(writer)
    assert 0 < head.opened_at < head.last
    assert len(head.lineage) == 8
    assert (head.tombstone_floor, head.voided_at, head.forked_at) == (0, 0, None)


@pytest.mark.parametrize("feed_id", [None, UUID(int=1)], ids=["not-known", "another"])
async def test_a_feed_that_is_not_the_tenants_own(
    heads: Heads, writer: SqlWriter, feed_id: UUID | None
) -> None:
    with pytest.raises(Unavailable):
        await heads.read(operator(writer.tenant_id, DEFAULT, feed_id))


async def test_a_tenant_without_a_feed(heads: Heads) -> None:
    with pytest.raises(Unavailable, match="no feed in the database 'default'"):
        await heads.read(operator(uuid4(), DEFAULT, uuid4()))


async def test_each_gets_the_head_of_its_tenant(
    heads: Heads, writer: SqlWriter, make_writer: MakeWriter
) -> None:
    writers = [writer]
    for _ in range(3):
        writers.append(await make_writer(uuid4()))
        await writers[-1].insert_one()
    reads = [heads.read(scope(DEFAULT, one)) for one in writers * 3]
    found = [head.last for head in await asyncio.gather(*reads)]
    assert found == [await last(one) for one in writers] * 3


async def test_a_read_that_begins_during_a_query_gets_a_later_one(
    heads: Heads, relay: PostgresRelay, writer: SqlWriter
) -> None:
    early = await held_read(heads, relay, writer)
    await writer.insert_one()  # committed after the query under way, and before the next read
    late = asyncio.create_task(heads.read(scope(RELAYED, writer)))
    await asyncio.sleep(0)
    relay.release()
    assert (await late).last == await last(writer)
    assert await early != await late


async def test_all_that_wait_share_one_query(
    heads: Heads, relay: PostgresRelay, writer: SqlWriter, make_writer: MakeWriter
) -> None:
    other = await make_writer(uuid4())
    await other.insert_one()
    early = await held_read(heads, relay, writer)
    before = relay.statements
    writers = [writer, other] * 20
    reads = [asyncio.create_task(heads.read(scope(RELAYED, one))) for one in writers]
    await asyncio.sleep(0)
    relay.release()
    await early
    found = await asyncio.gather(*reads)
    assert [head.last for head in found] == [await last(writer), await last(other)] * 20
    assert relay.statements == before + 1


async def test_a_reader_that_hangs_up_harms_nobody(
    heads: Heads, relay: PostgresRelay, writer: SqlWriter
) -> None:
    early = await held_read(heads, relay, writer)
    reads = [asyncio.create_task(heads.read(scope(RELAYED, writer))) for _ in range(3)]
    await asyncio.sleep(0)
    early.cancel()
    reads[0].cancel()
    await asyncio.sleep(0)
    relay.release()
    assert {(await read).last for read in reads[1:]} == {await last(writer)}
    assert early.cancelled()
    assert reads[0].cancelled()
    assert (await heads.read(scope(RELAYED, writer))).last == await last(writer)


async def test_a_failure_reaches_all_that_wait_and_is_over_then(
    heads: Heads, relay: PostgresRelay, writer: SqlWriter
) -> None:
    early = await held_read(heads, relay, writer)
    reads = [asyncio.create_task(heads.read(scope(RELAYED, writer))) for _ in range(3)]
    await asyncio.sleep(0)
    await relay.cut()
    outcomes = await asyncio.gather(early, *reads, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [Unavailable] * 4
    await relay.restore()
    assert (await heads.read(scope(RELAYED, writer))).last == await last(writer)


async def test_a_failure_that_nobody_waits_for_any_more_is_silent(
    heads: Heads, relay: PostgresRelay, writer: SqlWriter
) -> None:
    """Warnings are errors here: a future whose exception nobody took would be one."""
    early = await held_read(heads, relay, writer)
    early.cancel()
    await asyncio.sleep(0)
    await relay.cut()
    with pytest.raises(Unavailable):
        await heads.read(scope(RELAYED, writer))


async def test_a_database_that_hangs_holds_up_no_other(
    heads: Heads, relay: PostgresRelay, writer: SqlWriter
) -> None:
    early = await held_read(heads, relay, writer)
    head = await heads.read(scope(DEFAULT, writer))
    assert head.last == await last(writer)
    assert not early.done()
    relay.release()
    assert await early == head


async def test_a_database_that_is_not_configured(heads: Heads) -> None:
    with pytest.raises(Unavailable, match="nowhere"):
        await heads.read(operator(uuid4(), "nowhere", uuid4()))
