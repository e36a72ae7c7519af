"""What triggers could not see is found and mended, and every client hears of it."""

import asyncio
from uuid import uuid4

import asyncpg
import pytest

from fixtures.following import Client, client, raw
from fixtures.raw_tenant import Connect, RawTenant, tenant_in
from fixtures.unseen import unseen
from fixtures.until import until
from fixtures.worlds import MakeWorld
from soak.replica import ByCursor, ByTime
from soak.session import session

SOFTLY = "is_deleted = true, deleted_at = now()"
BACK = "is_deleted = false, deleted_at = NULL"


async def mended(tenant: RawTenant) -> int:
    """Reconcile, and see that nothing is left to be mended."""
    number = await tenant.db.fetchval("SELECT feed.reconcile($1)", tenant.id)
    assert await tenant.db.fetchval("SELECT feed.reconcile($1)", tenant.id) == 0
    return int(number)


async def work_unseen(tenant: RawTenant) -> None:
    """Every kind of write, and one that is seen."""
    deleted, back, renamed, erased, refilled, seen = [await tenant.inserted() for _ in range(6)]
    await tenant.update(SOFTLY, back)
    other = await tenant_in(tenant.db)
    await tenant.db.execute(
        "UPDATE files SET tenant_id = $1 WHERE id = $2", tenant.id, other.file_id
    )
    async with unseen(tenant.db):
        await tenant.insert(uuid4(), filename="inserted.txt")
        await tenant.insert(early := uuid4(), filename="with a wrong time.txt")
        await tenant.update("updated_at = '2001-01-01', created_at = '2001-01-01'", early)
        await tenant.update(SOFTLY, deleted)
        await tenant.update(BACK, back)
        await tenant.update("filename = 'renamed.txt', folder = 'there'", renamed)
        await tenant.delete(erased)
        await tenant.update(f"file_id = '{other.file_id}'", refilled)
    await tenant.update("filename = 'seen.txt'", seen)


CHANGED = 7
"""By `work_unseen`, unseen."""


async def test_every_kind_is_mended_with_a_new_stamp(tenant: RawTenant) -> None:
    await work_unseen(tenant)
    before = (await tenant.clock())["last"]
    assert await mended(tenant) == CHANGED
    after = (await tenant.clock())["last"]
    documents = await tenant.db.fetch("SELECT * FROM documents WHERE tenant_id = $1", tenant.id)
    assert len(documents) == 7
    for row in documents:
        entry, version = await tenant.entry(row["id"]), (await tenant.history(row["id"]))[-1]
        assert entry["is_deleted"] == version["is_deleted"] == row["is_deleted"]
        assert entry["updated_at"] == version["updated_at"]
        assert entry["updated_at"] == after or row["filename"] == "seen.txt"
        for name in ("filename", "folder", "mime_type", "file_id", "user_id"):
            assert version[name] == row[name]
    tombstones = await tenant.db.fetch(
        "SELECT id FROM feed_entries WHERE tenant_id = $1 AND is_deleted AND updated_at > $2 "
        "AND id NOT IN (SELECT id FROM documents)",
        *(tenant.id, before),
    )
    ((erased,),) = tombstones
    assert [v["is_deleted"] for v in await tenant.history(erased)] == [False, True]


async def test_where_nothing_is_astray_not_even_the_clock_is_touched(tenant: RawTenant) -> None:
    live, soft, hard = [await tenant.inserted() for _ in range(3)]
    await tenant.update("filename = 'b.txt'", live)
    await tenant.update(SOFTLY, soft)
    await tenant.delete(hard)
    await tenant.db.execute(
        "DELETE FROM document_history WHERE tenant_id = $1 AND document_id = ANY($2)",
        *(tenant.id, [soft, hard]),  # versions of what is deleted are collected
    )
    clock = await tenant.clock()
    assert await mended(tenant) == 0
    assert await tenant.clock() == clock


@pytest.mark.parametrize("stamp", ["now() + interval '1 year'", "'infinity'", "'-infinity'"])
async def test_an_entry_where_no_reader_comes_is_put_where_they_do(
    tenant: RawTenant, stamp: str
) -> None:
    document = await tenant.inserted()
    await tenant.db.execute(
        f"UPDATE feed_entries SET updated_at = {stamp} WHERE id = $1",
        document,
    )
    assert await mended(tenant) == 1
    assert await tenant.stamp(document) == (await tenant.clock())["last"]


@pytest.mark.parametrize("is_hard", [False, True])
async def test_a_tombstone_that_was_put_back_is_told_again(
    make_world: MakeWorld, *, is_hard: bool
) -> None:
    """Its entry is as it was at an earlier deletion, which the reader is past."""
    world = await make_world(1)
    reader = await client(world, ByCursor())
    async with session(world.database_url) as db:
        tenant = await raw(db, world.tenants[0])
        deleted, other = await tenant.inserted(), await tenant.inserted()
        await tenant.update(SOFTLY, deleted)
        earlier = await tenant.stamp(deleted)
        await tenant.update(BACK, deleted)
        await tenant.update(SOFTLY, other)
        await reader.follow()
        if is_hard:
            await tenant.delete(deleted)
        else:
            await tenant.update(SOFTLY, deleted)
        await db.execute("UPDATE feed_entries SET updated_at = $1 WHERE id = $2", earlier, deleted)
        await reader.follow()
        assert not await reader.equals_the_server(db)
        stamp = await tenant.stamp(other)
        assert await mended(tenant) == 1
        await reader.follow()
        assert await reader.equals_the_server(db)
        assert reader.expired == 0
        assert await tenant.stamp(other) == stamp


async def test_what_a_deleted_document_was_has_a_version_of_its_own(tenant: RawTenant) -> None:
    """A version names one state: a conflict shows the row, and it may come back."""
    deleted = await tenant.inserted()
    await tenant.update(SOFTLY, deleted)
    before = await tenant.stamp(deleted)
    async with unseen(tenant.db):
        await tenant.update("filename = 'renamed unseen.txt'", deleted)
    assert await mended(tenant) == 1
    newest = (await tenant.history(deleted))[-1]
    assert (newest["filename"], newest["is_deleted"]) == ("renamed unseen.txt", True)
    assert newest["updated_at"] == await tenant.stamp(deleted) > before
    assert await mended(tenant) == 0


async def test_a_writer_under_way_is_neither_lost_nor_doubled(
    tenant: RawTenant, connect: Connect
) -> None:
    """It has written, and its triggers have yet to fire."""
    async with unseen(tenant.db):
        await tenant.insert(hidden := uuid4())
    renamed, made, session = await tenant.inserted(), uuid4(), await connect()
    writing = session.transaction()
    await writing.start()
    await tenant.insert(made, by=session)
    await tenant.update("filename = 'b.txt'", renamed, by=session)
    assert await mended(tenant) == 1
    reconciled = await tenant.stamp(hidden)
    await writing.commit()
    assert await tenant.stamp(made) == await tenant.stamp(renamed) > reconciled
    assert len(await tenant.history(made)) == 1
    assert [v["filename"] for v in await tenant.history(renamed)] == ["a.txt", "b.txt"]
    assert await mended(tenant) == 0


async def test_a_writer_that_holds_the_clock_is_waited_for(
    tenant: RawTenant, connect: Connect
) -> None:
    """What seemed astray is looked at again under the clock: it was mended meanwhile."""
    async with unseen(tenant.db):
        await tenant.insert(hidden := uuid4())
    session, other = await connect(), await connect()
    writing = session.transaction()
    await writing.start()
    await tenant.update("filename = 'b.txt'", hidden, by=session)
    await session.execute("SELECT feed.flush($1)", tenant.id)
    reconciling = asyncio.create_task(other.fetchval("SELECT feed.reconcile($1)", tenant.id))

    async def is_waiting() -> bool:
        blocked = "SELECT $1 = ANY(pg_blocking_pids($2))"
        pids = session.get_server_pid(), other.get_server_pid()
        return bool(await tenant.db.fetchval(blocked, *pids))

    await until(is_waiting)
    await writing.commit()
    assert await reconciling == 0
    assert len(await tenant.history(hidden)) == 1


async def test_the_transaction_that_did_the_work_may_reconcile_itself(tenant: RawTenant) -> None:
    seen = uuid4()
    async with tenant.db.transaction():
        await tenant.insert(seen)
        await tenant.db.execute("SET LOCAL session_replication_role = replica")
        await tenant.insert(hidden := uuid4())
        await tenant.db.execute("SET LOCAL session_replication_role = origin")
        assert await tenant.db.fetchval("SELECT feed.reconcile($1)", tenant.id) == 2
    assert await tenant.stamp(seen) == await tenant.stamp(hidden)
    assert len(await tenant.history(seen)) == 1
    assert await mended(tenant) == 0


async def test_a_void_mends_every_tenant(own_db: asyncpg.Connection) -> None:
    tenant, empty = await tenant_in(own_db), await tenant_in(own_db)
    async with unseen(own_db):
        await tenant.insert(document := uuid4())
    assert await own_db.fetchval("SELECT feed.void_cursors()") == 2
    assert await tenant.stamp(document) <= (await tenant.clock())["last"]
    assert await empty.feed() == []


@pytest.mark.parametrize(
    ("repair", "expires"),
    [
        ("SELECT feed.reconcile($1)", False),
        ("SELECT feed.void_cursors() FROM (SELECT $1::uuid) x", True),
    ],
    ids=["reconcile", "void"],
)
async def test_all_clients_end_with_the_documents_of_the_server(
    make_world: MakeWorld, repair: str, *, expires: bool
) -> None:
    world = await make_world(1)
    readers = [await client(world, start) for start in (ByCursor(), ByTime(takes_first=False))]
    within_a_run = await client(world, ByCursor())
    async with session(world.database_url) as db:
        tenant = await raw(db, world.tenants[0])
        for _ in range(3):
            await tenant.inserted()
        for reader in readers:
            await reader.follow()
        await within_a_run.turn_page()
        await work_unseen(tenant)
        for reader in readers:
            await reader.follow()
        await db.execute(repair.replace("$1", f"'{tenant.id}'"))
        fresh = await client(world, ByCursor())
        everybody: list[Client] = [*readers, within_a_run, fresh]
        for reader in everybody:
            await reader.follow()
            assert await reader.equals_the_server(db)
    assert [reader.expired for reader in everybody] == [expires, expires, expires, 0]
