"""The feed says what a row is at the commit, in whatever order and however often triggers fire."""

from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

import asyncpg
import pytest

from fixtures.raw_tenant import Connect, RawTenant, tenant_in

SOFTLY = "is_deleted = true, deleted_at = now()"
INSERTS = "SET CONSTRAINTS documents_feed IMMEDIATE"
UPDATES = "SET CONSTRAINTS documents_feed_update IMMEDIATE"
NONE = "SET CONSTRAINTS ALL DEFERRED"
ALL = "SET CONSTRAINTS ALL IMMEDIATE"

MODES = pytest.mark.parametrize("mode", [NONE, ALL, INSERTS, UPDATES])

Write = Callable[[RawTenant, UUID], Awaitable[None]]


async def newest(tenant: RawTenant, document: UUID) -> tuple[bool, bool, str]:
    """Whether the entry and the newest version say deleted, and the version's name."""
    entry, version = await tenant.entry(document), (await tenant.history(document))[-1]
    assert entry["updated_at"] == version["updated_at"] == (await tenant.clock())["last"]
    return entry["is_deleted"], version["is_deleted"], version["filename"]


@MODES
async def test_an_insert_and_a_soft_deletion(tenant: RawTenant, mode: str) -> None:
    document = uuid4()
    async with tenant.db.transaction():
        await tenant.db.execute(mode)
        await tenant.insert(document)
        await tenant.update(f"filename = 'b.txt', {SOFTLY}", document)
    assert await newest(tenant, document) == (True, True, "b.txt")
    assert len(await tenant.history(document)) == 1


@MODES
async def test_an_insert_over_a_deletion(tenant: RawTenant, mode: str) -> None:
    document = await tenant.inserted()
    async with tenant.db.transaction():
        await tenant.db.execute(mode)
        await tenant.delete(document)
        await tenant.insert(document, filename="again.txt")
        await tenant.update("filename = 'b.txt'", document)
    assert await newest(tenant, document) == (False, False, "b.txt")


@MODES
async def test_an_id_that_is_left_and_taken_by_another(tenant: RawTenant, mode: str) -> None:
    """The departure is an update, the arrival an insert: which fires first depends on the mode."""
    document, elsewhere = await tenant.inserted(), uuid4()
    async with tenant.db.transaction():
        await tenant.db.execute(mode)
        await tenant.update(f"id = '{elsewhere}'", document)
        await tenant.insert(document, filename="another.txt")
    assert await newest(tenant, document) == (False, False, "another.txt")
    assert await newest(tenant, elsewhere) == (False, False, "a.txt")


@MODES
async def test_an_id_that_is_changed_back_and_forth(tenant: RawTenant, mode: str) -> None:
    document, elsewhere = await tenant.inserted(), uuid4()
    async with tenant.db.transaction():
        await tenant.db.execute(mode)
        await tenant.update(f"id = '{elsewhere}'", document)
        await tenant.update("filename = 'b.txt'", elsewhere)
        await tenant.update(f"id = '{document}'", elsewhere)
        await tenant.update("filename = 'c.txt'", document)
    assert await newest(tenant, document) == (False, False, "c.txt")
    if (entry := await tenant.entry(elsewhere)) is not None:
        assert entry["is_deleted"]


@MODES
async def test_an_insert_that_comes_to_nothing(tenant: RawTenant, mode: str) -> None:
    document = uuid4()
    async with tenant.db.transaction():
        await tenant.db.execute(mode)
        await tenant.insert(document)
        await tenant.update("filename = 'b.txt'", document)
        await tenant.delete(document)
    assert await newest(tenant, document) == (True, True, "b.txt")


@MODES
async def test_a_change_whose_successor_changes_nothing(tenant: RawTenant, mode: str) -> None:
    """The second update replaces the row that the first one left, and fires nothing."""
    document = await tenant.inserted()
    async with tenant.db.transaction():
        await tenant.db.execute(mode)
        await tenant.update("filename = 'b.txt'", document)
        await tenant.update("filename = filename", document)
    assert await newest(tenant, document) == (False, False, "b.txt")


@MODES
async def test_a_change_that_is_rolled_back_to_a_savepoint(tenant: RawTenant, mode: str) -> None:
    document = uuid4()
    async with tenant.db.transaction():
        await tenant.db.execute(mode)
        await tenant.insert(document)
        savepoint = tenant.db.transaction()
        await savepoint.start()
        await tenant.update(f"filename = 'lost.txt', {SOFTLY}", document)
        await savepoint.rollback()
    assert await newest(tenant, document) == (False, False, "a.txt")


async def test_a_row_that_another_trigger_changes(own_db: asyncpg.Connection) -> None:
    """A trigger of an application's, which fires first by its name, and the rest after it."""
    tenant, document = await tenant_in(own_db), uuid4()
    await own_db.execute(
        "CREATE FUNCTION public.rename() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "UPDATE documents SET filename = 'theirs.txt' WHERE id = NEW.id; RETURN NULL; END $$; "
        "CREATE TRIGGER aaa AFTER INSERT ON documents FOR EACH ROW EXECUTE FUNCTION rename()"
    )
    async with own_db.transaction():
        await own_db.execute(ALL)
        await tenant.insert(document)
    assert await newest(tenant, document) == (False, False, "theirs.txt")


@pytest.mark.parametrize("lock", ["FOR UPDATE", "FOR NO KEY UPDATE", "FOR KEY SHARE"])
async def test_a_row_that_was_locked_before_or_after(tenant: RawTenant, lock: str) -> None:
    document = await tenant.inserted()
    locking = f"SELECT FROM documents WHERE id = $1 {lock}"
    async with tenant.db.transaction():
        await tenant.db.execute(locking, document)
        await tenant.update("filename = 'b.txt'", document)
        await tenant.db.execute(locking, document)
    assert await newest(tenant, document) == (False, False, "b.txt")


class TestFiles:
    @pytest.mark.parametrize(
        "change",
        [
            "file_size = 2",
            "md5_hash = repeat('0', 32)",
            "sha256_hash = md5(random()::text) || md5(random()::text)",
            "s3_path = 'moved/' || s3_path",
        ],
    )
    async def test_a_change_is_one_of_the_documents_that_refer_to_it(
        self, tenant: RawTenant, change: str
    ) -> None:
        documents = [await tenant.inserted() for _ in range(2)]
        gone = await tenant.inserted()
        await tenant.update(SOFTLY, gone)
        stranger = await tenant_in(tenant.db)
        other = await stranger.inserted()
        before = await stranger.stamp(other)
        await self.change(tenant, change)
        for document in documents:
            assert await newest(tenant, document) == (False, False, "a.txt")
            assert len(await tenant.history(document)) == 2
        assert (await tenant.entry(gone))["is_deleted"]
        assert await stranger.stamp(other) == before

    @pytest.mark.parametrize("change", ["updated_at = now()", "created_by = gen_random_uuid()"])
    async def test_what_no_page_shows_is_no_change(self, tenant: RawTenant, change: str) -> None:
        await tenant.inserted()
        clock = await tenant.clock()
        await self.change(tenant, change)
        assert await tenant.clock() == clock

    async def test_a_push_in_the_same_transaction_stays_in_the_ledger(
        self, tenant: RawTenant
    ) -> None:
        document, change = await tenant.inserted(), uuid4()
        async with tenant.db.transaction():
            await tenant.db.execute("SELECT set_config('syncapi.actor', 'row', true)")
            await tenant.update(f"filename = 'b.txt', change_id = '{change}'", document)
            await self.change(tenant, "file_size = 2")
        (_, version) = await tenant.history(document)
        assert (version["filename"], version["change_id"]) == ("b.txt", change)
        await self.change(tenant, "file_size = 3")
        assert [v["change_id"] for v in await tenant.history(document)] == [None, change, None]

    async def test_a_document_that_is_given_the_file_meanwhile(
        self, tenant: RawTenant, connect: Connect
    ) -> None:
        """Its transaction commits between the change of the file and the commit of that."""
        session = await connect()
        document, changing = uuid4(), session.transaction()
        await changing.start()
        await session.execute("UPDATE files SET file_size = 2 WHERE id = $1", tenant.file_id)
        await tenant.insert(document)
        before = await tenant.stamp(document)
        await changing.commit()
        assert await tenant.stamp(document) > before

    async def test_a_writer_of_files_alone_feeds_them(
        self, tenant: RawTenant, connect: Connect
    ) -> None:
        document = await tenant.inserted()
        before = await tenant.stamp(document)
        role = f"writer_{uuid4().hex}"
        await tenant.db.execute(
            f"CREATE ROLE {role} NOLOGIN; GRANT SELECT, UPDATE ON files TO {role}"
        )
        try:
            session = await connect()
            await session.execute(f"SET SESSION AUTHORIZATION {role}")
            await session.execute("UPDATE files SET file_size = 2 WHERE id = $1", tenant.file_id)
        finally:
            await tenant.db.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
        assert await tenant.stamp(document) > before

    @staticmethod
    async def change(tenant: RawTenant, what: str) -> None:
        await tenant.db.execute(
            f"UPDATE files SET {what} WHERE tenant_id = $1 AND id = $2",
            *(tenant.id, tenant.file_id),
        )
