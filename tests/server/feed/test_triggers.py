"""What each kind of write leaves in the feed and in the history, whoever writes."""

import secrets
from uuid import UUID, uuid4

import asyncpg
import pytest

from fixtures.raw_tenant import Connect, RawTenant, tenant_in

SOFTLY = "is_deleted = true, deleted_at = now()"
BACK = "is_deleted = false, deleted_at = NULL"


async def is_deleted(tenant: RawTenant, document: UUID) -> bool:
    return bool((await tenant.entry(document))["is_deleted"])


class TestKindsOfWrites:
    async def test_an_insert_appears(self, tenant: RawTenant) -> None:
        entry = await tenant.entry(await tenant.inserted())
        assert not entry["is_deleted"]
        assert entry["appeared_at"] == entry["updated_at"] == (await tenant.clock())["last"]

    async def test_an_update_moves_the_entry_and_not_its_appearance(
        self, tenant: RawTenant
    ) -> None:
        first, second = await tenant.inserted(), await tenant.inserted()
        before = await tenant.entry(first)
        await tenant.update("filename = 'b.txt'", first)
        assert await tenant.feed() == [second, first]
        assert (await tenant.entry(first))["appeared_at"] == before["appeared_at"]

    @pytest.mark.parametrize("change", ["filename = filename", "updated_at = updated_at"])
    async def test_an_update_that_changes_nothing_is_no_version(
        self, tenant: RawTenant, change: str
    ) -> None:
        document = await tenant.inserted()
        clock = await tenant.clock()
        await tenant.update(change, document)
        assert await tenant.clock() == clock
        assert len(await tenant.history(document)) == 1

    @pytest.mark.parametrize(
        "change",
        [
            "filename = 'b.txt'",
            "folder = 'elsewhere'",
            "mime_type = 'text/html'",
            "user_id = gen_random_uuid()",
            "created_by = gen_random_uuid()",
            "updated_at = '2001-01-01'",
            "deleted_by = gen_random_uuid()",
        ],
    )
    async def test_a_change_of_any_column_is_a_version(
        self, tenant: RawTenant, change: str
    ) -> None:
        document = await tenant.inserted()
        before = await tenant.stamp(document)
        await tenant.update(change, document)
        assert await tenant.stamp(document) > before

    async def test_a_soft_deletion_is_a_tombstone(self, tenant: RawTenant) -> None:
        document = await tenant.inserted()
        before = await tenant.stamp(document)
        await tenant.update(SOFTLY, document)
        assert await is_deleted(tenant, document)
        assert await tenant.stamp(document) > before

    async def test_an_undeleted_document_appears_again(self, tenant: RawTenant) -> None:
        document = await tenant.inserted()
        await tenant.update(SOFTLY, document)
        await tenant.update("filename = 'renamed while deleted.txt'", document)
        assert await is_deleted(tenant, document)
        await tenant.update(BACK, document)
        entry = await tenant.entry(document)
        assert not entry["is_deleted"]
        assert entry["appeared_at"] == entry["updated_at"]

    async def test_a_hard_deletion_is_a_tombstone(self, tenant: RawTenant) -> None:
        kept, gone = await tenant.inserted(), await tenant.inserted()
        await tenant.delete(gone)
        assert await is_deleted(tenant, gone)
        assert not await is_deleted(tenant, kept)
        assert await tenant.feed() == [kept, gone]

    async def test_an_id_that_is_taken_again_appears_again(self, tenant: RawTenant) -> None:
        document = await tenant.inserted()
        await tenant.delete(document)
        await tenant.insert(document)
        entry = await tenant.entry(document)
        assert not entry["is_deleted"]
        assert entry["appeared_at"] == entry["updated_at"]

    async def test_a_deletion_and_an_insert_of_one_id_in_one_transaction(
        self, tenant: RawTenant
    ) -> None:
        document = await tenant.inserted()
        async with tenant.db.transaction():
            await tenant.delete(document)
            await tenant.insert(document, filename="b.txt")
        assert not await is_deleted(tenant, document)
        assert [v["filename"] for v in await tenant.history(document)] == ["a.txt", "b.txt"]

    async def test_an_insert_and_a_deletion_in_one_transaction(self, tenant: RawTenant) -> None:
        document = uuid4()
        async with tenant.db.transaction():
            await tenant.insert(document)
            await tenant.delete(document)
        assert await is_deleted(tenant, document)

    async def test_a_change_of_the_id_is_a_deletion_and_an_insert(self, tenant: RawTenant) -> None:
        old, new = await tenant.inserted(), uuid4()
        await tenant.update(f"id = '{new}'", old)
        assert await is_deleted(tenant, old)
        entry = await tenant.entry(new)
        assert not entry["is_deleted"]
        assert entry["appeared_at"] == entry["updated_at"] == await tenant.stamp(old)

    async def test_a_move_to_another_tenant_is_told_to_both(self, tenant: RawTenant) -> None:
        other = await tenant_in(tenant.db)
        document = await tenant.inserted()
        await tenant.update(f"tenant_id = '{other.id}', file_id = '{other.file_id}'", document)
        assert await is_deleted(tenant, document)
        assert not await is_deleted(other, document)

    async def test_two_ids_that_are_swapped(self, tenant: RawTenant) -> None:
        """The entry of an id says what the row of that id is at the end."""
        one, two, spare = await tenant.inserted(), await tenant.inserted(), uuid4()
        await tenant.update("filename = 'two.txt'", two)
        async with tenant.db.transaction():
            await tenant.update(f"id = '{spare}'", one)
            await tenant.update(f"id = '{one}'", two)
            await tenant.update(f"id = '{two}'", spare)
        assert not await is_deleted(tenant, one)
        assert not await is_deleted(tenant, two)
        assert await is_deleted(tenant, spare)
        assert (await tenant.history(one))[-1]["filename"] == "two.txt"

    @pytest.mark.parametrize("what", ["documents", "documents, document_history CASCADE"])
    async def test_truncate_is_refused(self, tenant: RawTenant, what: str) -> None:
        document = await tenant.inserted()
        with pytest.raises(asyncpg.FeatureNotSupportedError, match="use DELETE"):
            await tenant.db.execute(f"TRUNCATE {what}")
        assert not await is_deleted(tenant, document)

    async def test_truncating_what_documents_refer_to_is_refused(self, tenant: RawTenant) -> None:
        await tenant.inserted()
        with pytest.raises(asyncpg.FeatureNotSupportedError, match="use DELETE"):
            await tenant.db.execute("TRUNCATE files CASCADE")

    async def test_statements_of_many_rows(self, tenant: RawTenant) -> None:
        ids = [uuid4() for _ in range(30)]
        await tenant.insert(*ids)
        await tenant.update(SOFTLY, *ids[:10])
        await tenant.delete(*ids[20:])
        dead = [document for document in ids if await is_deleted(tenant, document)]
        assert dead == [*ids[:10], *ids[20:]]

    async def test_copy_and_merge(self, tenant: RawTenant) -> None:
        copied, merged = uuid4(), uuid4()
        columns = ("tenant_id", "id", "filename", "mime_type", "file_id")
        rows = [(tenant.id, copied, "copied.txt", "text/plain", tenant.file_id)]
        await tenant.db.copy_records_to_table("documents", records=rows, columns=columns)
        await tenant.db.execute(
            "MERGE INTO documents USING unnest($2::uuid[]) AS wanted (id) "
            "ON documents.tenant_id = $1 AND documents.id = wanted.id "
            "WHEN MATCHED THEN DELETE "
            "WHEN NOT MATCHED THEN INSERT (tenant_id, id, filename, mime_type, file_id) "
            "VALUES ($1, wanted.id, 'm.txt', 'text/plain', $3)",
            *(tenant.id, [copied, merged], tenant.file_id),
        )
        assert await is_deleted(tenant, copied)
        assert not await is_deleted(tenant, merged)

    async def test_what_a_foreign_key_cascades(self, own_db: asyncpg.Connection) -> None:
        """Applications beside us may hang documents on rows of theirs."""
        tenant = await tenant_in(own_db)
        kept, gone = await tenant.inserted(), await tenant.inserted()
        await own_db.execute("CREATE TABLE shelves (id int PRIMARY KEY)")
        await own_db.execute("INSERT INTO shelves VALUES (1)")
        await own_db.execute(
            "ALTER TABLE documents ADD shelf int REFERENCES shelves ON DELETE CASCADE"
        )
        await tenant.update("shelf = 1", gone)
        await own_db.execute("DELETE FROM shelves")
        assert await is_deleted(tenant, gone)
        assert not await is_deleted(tenant, kept)


class TestHistory:
    async def test_it_has_every_version_of_raw_sql(self, tenant: RawTenant) -> None:
        document = await tenant.inserted()
        stamps = [await tenant.stamp(document)]
        for change in ("filename = 'b.txt'", SOFTLY, BACK):
            await tenant.update(change, document)
            stamps.append(await tenant.stamp(document))
        await tenant.delete(document)
        stamps.append(await tenant.stamp(document))
        versions = await tenant.history(document)
        assert [version["updated_at"] for version in versions] == stamps
        assert [v["filename"] for v in versions] == ["a.txt", *["b.txt"] * 4]
        assert [v["is_deleted"] for v in versions] == [False, False, True, False, True]

    async def test_what_one_transaction_does_to_a_document_is_one_version(
        self, tenant: RawTenant
    ) -> None:
        document = uuid4()
        async with tenant.db.transaction():
            await tenant.insert(document)
            await tenant.update("filename = 'b.txt'", document)
            await tenant.update("mime_type = 'text/html'", document)
        (version,) = await tenant.history(document)
        assert (version["filename"], version["mime_type"]) == ("b.txt", "text/html")

    async def test_it_names_the_role_and_where_it_is_said_the_user(
        self, tenant: RawTenant
    ) -> None:
        document, user = await tenant.inserted(), uuid4()
        async with tenant.db.transaction():
            await tenant.db.execute("SELECT set_config('syncapi.actor', $1, true)", str(user))
            await tenant.update("filename = 'b.txt'", document)
        await tenant.update("filename = 'c.txt'", document)
        versions = await tenant.history(document)
        assert [version["changed_by"] for version in versions] == [None, user, None]
        role = await tenant.db.fetchval("SELECT session_user")
        assert {version["database_role"] for version in versions} == {role}


class TestWhoWrites:
    async def test_a_role_that_may_only_write_documents_feeds_them(
        self, tenant: RawTenant, connect: Connect
    ) -> None:
        role = f"writer_{secrets.token_hex(6)}"
        await tenant.db.execute(f"CREATE ROLE {role} NOLOGIN")
        await tenant.db.execute(
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON documents TO {role}; "
            f"GRANT SELECT ON files TO {role}"
        )
        try:
            session = await connect()
            await session.execute(f"SET SESSION AUTHORIZATION {role}")
            kept, gone = uuid4(), uuid4()
            await tenant.insert(kept, gone, by=session)
            await tenant.update("filename = 'b.txt'", kept, by=session)
            await tenant.delete(gone, by=session)
            for table in ("feed_entries", "tenant_clock", "document_history"):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await session.execute(f"DELETE FROM {table}")
        finally:
            await tenant.db.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
        assert not await is_deleted(tenant, kept)
        assert await is_deleted(tenant, gone)
        assert [v["database_role"] for v in await tenant.history(kept)] == [role, role]

    async def test_a_search_path_of_the_writers_leads_nowhere_else(
        self, tenant: RawTenant, connect: Connect
    ) -> None:
        session = await connect()
        await session.execute("CREATE TEMP TABLE feed_entries (LIKE public.feed_entries)")
        await session.execute("CREATE TEMP TABLE tenant_clock (LIKE public.tenant_clock)")
        await session.execute("SET search_path = pg_temp, public")
        document = uuid4()
        await tenant.insert(document, by=session)
        assert not await is_deleted(tenant, document)


class TestTombstones:
    async def test_the_floor_rises_with_what_is_collected(self, tenant: RawTenant) -> None:
        kept, soft, hard = [await tenant.inserted() for _ in range(3)]
        await tenant.update(SOFTLY, soft)
        await tenant.delete(hard)
        last = await tenant.stamp(hard)
        assert await self.collect(tenant, keep="0") == 2
        assert await tenant.feed() == [kept]
        assert (await tenant.clock())["tombstone_floor"] == last

    async def test_the_oldest_go_first_and_young_ones_stay(self, tenant: RawTenant) -> None:
        ids = [await tenant.inserted() for _ in range(4)]
        for document in ids:
            await tenant.delete(document)
        stamps = [await tenant.stamp(document) for document in ids]
        assert await self.collect(tenant, keep="1 hour") == 0
        assert await self.collect(tenant, keep="0", most=3) == 3
        assert await tenant.feed() == ids[3:]
        assert (await tenant.clock())["tombstone_floor"] == stamps[2]

    async def test_nothing_collected_leaves_the_floor(self, tenant: RawTenant) -> None:
        await tenant.inserted()
        clock = await tenant.clock()
        assert await self.collect(tenant, keep="0") == 0
        assert await tenant.clock() == clock

    async def test_other_tenants_keep_theirs(self, tenant: RawTenant) -> None:
        other = await tenant_in(tenant.db)
        documents = {each.id: await each.inserted() for each in (tenant, other)}
        for each in (tenant, other):
            await each.delete(documents[each.id])
        assert await self.collect(tenant, keep="0") == 1
        assert await is_deleted(other, documents[other.id])

    async def test_floor_and_collection_are_one_transaction(
        self, tenant: RawTenant, connect: Connect
    ) -> None:
        document = await tenant.inserted()
        await tenant.delete(document)
        before = await tenant.clock()
        session = await connect()
        collecting = session.transaction()
        await collecting.start()
        await session.fetchval("SELECT feed.collect_tombstones($1, '0')", tenant.id)
        assert await tenant.clock() == before
        assert await tenant.feed() == [document]
        await collecting.rollback()
        assert await tenant.clock() == before
        assert await tenant.feed() == [document]

    async def test_an_undeleted_document_is_not_collected(
        self, tenant: RawTenant, connect: Connect
    ) -> None:
        """The collector waits for who holds the clock, and sees what that one committed."""
        document = await tenant.inserted()
        await tenant.update(SOFTLY, document)
        session = await connect()
        undeleting = session.transaction()
        await undeleting.start()
        await tenant.update(BACK, document, by=session)
        await session.execute("SELECT feed.flush($1)", tenant.id)
        await tenant.db.execute("SET lock_timeout = '50ms'")
        with pytest.raises(asyncpg.LockNotAvailableError):
            await self.collect(tenant, keep="0")
        await undeleting.commit()
        assert await self.collect(tenant, keep="0") == 0
        assert not await is_deleted(tenant, document)

    async def test_a_collected_document_that_comes_back_appears(self, tenant: RawTenant) -> None:
        document = await tenant.inserted()
        await tenant.update(SOFTLY, document)
        await self.collect(tenant, keep="0")
        await tenant.insert(document)  # under the same id: its row went with the tombstone
        entry = await tenant.entry(document)
        assert entry["appeared_at"] == entry["updated_at"] == (await tenant.clock())["last"]

    @staticmethod
    async def collect(tenant: RawTenant, *, keep: str, most: int = 5000) -> int:
        call = f"SELECT feed.collect_tombstones($1, interval '{keep}', $2)"
        return int(await tenant.db.fetchval(call, tenant.id, most))
