"""Stamps are issued at commit, in the order of commits, once per transaction and tenant."""

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from fixtures.raw_tenant import Connect, RawTenant, tenant_in

MICROSECOND = timedelta(microseconds=1)


async def test_the_order_is_that_of_commits_not_of_statements(
    tenant: RawTenant, connect: Connect
) -> None:
    """A poller that has read the second transaction would never get the first otherwise."""
    first, second = await connect(), await connect()
    early, late = uuid4(), uuid4()
    slow = first.transaction()
    await slow.start()
    await tenant.insert(early, by=first)
    await tenant.insert(late, by=second)
    assert await tenant.feed() == [late]
    await slow.commit()
    assert await tenant.feed() == [late, early]


async def test_concurrent_commits_get_stamps_of_their_own(
    tenant: RawTenant, connect: Connect
) -> None:
    sessions = [await connect() for _ in range(6)]
    ids = [[uuid4() for _ in range(5)] for _ in sessions]

    async def write(session: asyncpg.Connection, documents: list[UUID]) -> None:
        for document in documents:
            await tenant.insert(document, by=session)

    await asyncio.gather(*map(write, sessions, ids))
    stamps = [await tenant.stamp(document) for documents in ids for document in documents]
    assert len(set(stamps)) == len(stamps)
    for documents in ids:
        own = [await tenant.stamp(document) for document in documents]
        assert own == sorted(own)


async def test_a_transaction_has_one_stamp(tenant: RawTenant) -> None:
    ids = [uuid4() for _ in range(4)]
    async with tenant.db.transaction():
        await tenant.insert(*ids[:2])
        await tenant.insert(ids[2])
        await tenant.insert(ids[3])
        await tenant.update("filename = 'b.txt'", ids[0])
    stamps = {await tenant.stamp(document) for document in ids}
    assert stamps == {(await tenant.clock())["last"]}


async def test_a_statement_of_many_rows_has_one_stamp(tenant: RawTenant) -> None:
    ids = [uuid4() for _ in range(300)]
    await tenant.insert(*ids)
    await tenant.update("filename = 'b.txt'", *ids)
    entries = await tenant.db.fetch(
        "SELECT DISTINCT updated_at FROM feed_entries WHERE tenant_id = $1", tenant.id
    )
    assert [entry["updated_at"] for entry in entries] == [(await tenant.clock())["last"]]


async def test_transactions_have_different_stamps_that_rise(tenant: RawTenant) -> None:
    stamps = [await tenant.stamp(await tenant.inserted()) for _ in range(5)]
    assert stamps == sorted(set(stamps))
    assert (await tenant.clock())["opened_at"] < stamps[0]


async def test_several_tenants_in_one_transaction_have_a_clock_each(
    tenant: RawTenant, db: asyncpg.Connection
) -> None:
    # More than there are slots for what a transaction remembers of its stamps.
    tenants = [tenant, *[await tenant_in(db) for _ in range(80)]]
    before = [await each.inserted() for each in tenants[:3]]
    ids = {each.id: (uuid4(), uuid4()) for each in tenants}
    async with db.transaction():
        for turn in (0, 1):
            for each in tenants:
                await each.insert(ids[each.id][turn])
    for each in tenants:
        first, second = [await each.stamp(document) for document in ids[each.id]]
        assert first <= second == (await each.clock())["last"]
    for each, document in zip(tenants, before, strict=False):
        assert await each.stamp(document) < await each.stamp(ids[each.id][0])


async def test_a_rollback_leaves_nothing(tenant: RawTenant) -> None:
    kept = await tenant.inserted()
    clock = await tenant.clock()
    lost = uuid4()
    transaction = tenant.db.transaction()
    await transaction.start()
    await tenant.insert(lost)
    await tenant.update("filename = 'b.txt'", kept)
    assert await tenant.db.fetchval("SELECT feed.flush($1)", tenant.id) > clock["last"]
    await transaction.rollback()
    assert await tenant.clock() == clock
    assert await tenant.entry(lost) is None
    assert await tenant.stamp(kept) == clock["last"]
    assert len(await tenant.history(kept)) == 1


@pytest.mark.parametrize("flush_inside", [False, True])
async def test_what_is_rolled_back_to_a_savepoint_leaves_nothing(
    tenant: RawTenant, *, flush_inside: bool
) -> None:
    kept, lost, after = uuid4(), uuid4(), uuid4()
    async with tenant.db.transaction():
        await tenant.insert(kept)
        savepoint = tenant.db.transaction()
        await savepoint.start()
        await tenant.insert(lost)
        await tenant.update("filename = 'lost.txt'", kept)
        if flush_inside:
            await tenant.db.execute("SELECT feed.flush($1)", tenant.id)
        await savepoint.rollback()
        await tenant.insert(after)
    assert await tenant.entry(lost) is None
    stamps = {await tenant.stamp(document) for document in (kept, after)}
    assert stamps == {(await tenant.clock())["last"]}
    assert [version["filename"] for version in await tenant.history(kept)] == ["a.txt"]


async def test_a_stamp_that_was_rolled_back_is_not_used_on(
    tenant: RawTenant, connect: Connect
) -> None:
    """With the savepoint the clock's lock is gone, so another may have committed since."""
    document, others = uuid4(), uuid4()
    async with tenant.db.transaction():
        savepoint = tenant.db.transaction()
        await savepoint.start()
        await tenant.insert(document)
        lost = await tenant.db.fetchval("SELECT feed.flush($1)", tenant.id)
        await savepoint.rollback()
        await tenant.insert(others, by=await connect())
        await tenant.insert(document)
    assert lost is not None
    assert await tenant.feed() == [others, document]


async def test_a_flush_tells_the_version_that_is_committed(tenant: RawTenant) -> None:
    first, second = uuid4(), uuid4()
    async with tenant.db.transaction():
        await tenant.insert(first)
        told = await tenant.db.fetchval("SELECT feed.flush($1)", tenant.id)
        await tenant.insert(second)  # after the flush: it has the same stamp
        assert await tenant.db.fetchval("SELECT feed.flush($1)", tenant.id) == told
    assert {await tenant.stamp(first), await tenant.stamp(second)} == {told}


async def test_a_flush_of_nothing_tells_nothing(tenant: RawTenant) -> None:
    document = await tenant.inserted()
    async with tenant.db.transaction():
        await tenant.update("filename = filename", document)
        assert await tenant.db.fetchval("SELECT feed.flush($1)", tenant.id) is None


async def test_a_session_does_not_take_its_last_stamp_for_the_next_transactions(
    tenant: RawTenant,
) -> None:
    first = await tenant.stamp(await tenant.inserted())
    async with tenant.db.transaction():
        assert await tenant.db.fetchval("SELECT feed.flush($1)", tenant.id) is None
        document = await tenant.inserted()
    assert await tenant.stamp(document) > first


async def step_clock(db: asyncpg.Connection, by: str) -> None:
    await db.execute(
        "CREATE OR REPLACE FUNCTION feed.wall_clock() RETURNS timestamptz LANGUAGE sql VOLATILE "
        f"AS $$ SELECT clock_timestamp() + interval '{by}' $$"
    )


async def test_a_clock_that_steps_back_neither_repeats_nor_reorders_stamps(
    own_db: asyncpg.Connection,
) -> None:
    tenant = await tenant_in(own_db)
    ids = [await tenant.inserted()]
    for step in ("0", "-1 hour", "-2 hours", "+5 seconds", "-1 day"):
        await step_clock(own_db, step)
        ids += [await tenant.inserted(), await tenant.inserted()]
    stamps = [await tenant.stamp(document) for document in ids]
    assert stamps == sorted(set(stamps))
    assert await tenant.feed() == ids


async def test_behind_a_step_back_the_stamps_go_on_by_microseconds(
    own_db: asyncpg.Connection,
) -> None:
    tenant = await tenant_in(own_db)
    before = await tenant.stamp(await tenant.inserted())
    await step_clock(own_db, "-1 hour")
    after = [await tenant.stamp(await tenant.inserted()) for _ in range(3)]
    assert after == [before + n * MICROSECOND for n in (1, 2, 3)]


@pytest.mark.parametrize("isolation", ["repeatable_read", "serializable"])
async def test_a_snapshot_that_is_too_old_cannot_commit(
    tenant: RawTenant, connect: Connect, isolation: str
) -> None:
    """It would not see the stamp that was issued since; it is told to try again."""
    await tenant.inserted()
    session, document = await connect(), uuid4()
    transaction = session.transaction(isolation=isolation)
    await transaction.start()
    await tenant.insert(document, by=session)
    await tenant.inserted()  # by another session
    with pytest.raises(asyncpg.SerializationError):
        await transaction.commit()
    assert await tenant.entry(document) is None
    async with session.transaction(isolation=isolation):
        await tenant.insert(document, by=session)
    assert (await tenant.feed())[-1] == document
