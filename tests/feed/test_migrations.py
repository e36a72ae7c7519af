"""Migrations on real databases: up, down, what they make, what holds them up, and the verb."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from feed.raw_tenant import tenant_in
from feed.schema import schema
from soak.session import session
from syncapi.server.postgres import control, tables
from syncapi.server.postgres.engines import connector
from syncapi.server.postgres.migrations import (
    Target,
    Tree,
    current,
    downgrade,
    head,
    upgrade,
    upgrade_sql,
    why_stopped,
)

CreateDatabase = Callable[[], str]

METADATA = {Tree.CONTROL: control.metadata, Tree.TENANT: tables.metadata}


@pytest.fixture(params=Tree)
def target(request: pytest.FixtureRequest, create_database: CreateDatabase) -> Target:
    """A tree and an empty database for it."""
    return Target(request.param, "own", create_database())


async def migrated(target: Target, revision: str = "head") -> None:
    await asyncio.to_thread(upgrade, target, revision)


class TestTrees:
    async def test_up_down_and_up_again(self, target: Target) -> None:
        empty = await schema(target.url)
        assert await current(target) is None
        await migrated(target)
        full = await schema(target.url)
        assert await current(target) == head(target)
        await asyncio.to_thread(downgrade, target)
        left = [line for line in await schema(target.url) if "alembic_version" not in line]
        assert left == empty
        assert await current(target) is None
        await migrated(target)
        assert await schema(target.url) == full

    async def test_every_step_down_and_up_makes_the_same(self, target: Target) -> None:
        await migrated(target)
        full = await schema(target.url)
        await asyncio.to_thread(downgrade, target, "-1")
        await migrated(target)
        assert await schema(target.url) == full

    async def test_both_trees_live_in_one_database(self, create_database: CreateDatabase) -> None:
        url = create_database()
        for tree in Tree:
            await migrated(Target(tree, "own", url))
        await asyncio.to_thread(downgrade, Target(Tree.TENANT, "own", url))
        async with session(url) as db:
            assert await db.fetchval("SELECT count(*) FROM tenants") == 0
            assert await db.fetchval("SELECT to_regclass('documents')") is None

    async def test_the_tables_in_code_are_those_in_the_database(self, target: Target) -> None:
        await migrated(target)
        assert await differences(target, METADATA[target.tree]) == []

    async def test_a_difference_would_be_noticed(self, create_database: CreateDatabase) -> None:
        target = Target(Tree.TENANT, "own", create_database())
        await migrated(target)
        for change in (
            "DROP INDEX feed_entries_tombstones_idx",
            "ALTER TABLE documents ALTER COLUMN is_deleted DROP DEFAULT",
            "ALTER TABLE direct_uploads ALTER COLUMN part_size TYPE int",
            "ALTER TABLE files DROP CONSTRAINT files_tenant_id_sha256_hash_key",
            "ALTER TABLE documents DROP CONSTRAINT documents_tenant_id_file_id_fkey",
            "ALTER TABLE document_history ALTER COLUMN filename DROP NOT NULL",
        ):
            before = await differences(target, tables.metadata)
            async with session(target.url) as db:
                await db.execute(change)
            assert len(await differences(target, tables.metadata)) > len(before), change

    async def test_names_follow_the_convention(self, target: Target) -> None:
        await migrated(target)
        async with session(target.url) as db:
            names = await db.fetch(
                "SELECT conrelid::regclass::text AS owner, conname AS name FROM pg_constraint "
                "WHERE connamespace = 'public'::regnamespace AND contype IN ('p','u','f','c') "
                "UNION ALL SELECT indrelid::regclass::text, indexrelid::regclass::text "
                "FROM pg_index JOIN pg_class ON pg_class.oid = indrelid "
                "WHERE relnamespace = 'public'::regnamespace"
            )
        endings = ("_pkey", "_key", "_fkey", "_check", "_idx")
        for owner, name in names:
            if owner.startswith("alembic_version"):
                continue
            assert name.startswith(f"{owner}_"), name
            assert name.endswith(endings), name


async def differences(target: Target, metadata: MetaData) -> list[Any]:
    """What autogenerate would migrate."""

    def compare(connection: Connection) -> list[Any]:
        ours = set(metadata.tables)

        def is_ours(_object: object, name: str | None, kind: str, *_: object) -> bool:
            return kind != "table" or name in ours

        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
                "compare_server_default": True,
                "include_object": is_ours,
            },
        )
        found = compare_metadata(context, metadata)
        return [change for change in found if "comment" not in change[0]]  # those are for psql

    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=connector(target.url), poolclass=NullPool
    )
    async with engine.connect() as connection:
        found = await connection.run_sync(compare)
    await engine.dispose()
    return found


class TestFolders:
    async def test_sessions_and_versions_of_before_go_on(
        self, create_database: CreateDatabase
    ) -> None:
        """An older application writes on, through connections that know the old table."""
        target = Target(Tree.TENANT, "own", create_database())
        await migrated(target, "tenant_0002")
        async with session(target.url) as db:
            tenant = await tenant_in(db, opens=False)
            document = await tenant.inserted()
            await tenant.update("filename = 'b.txt'", document)
            await migrated(target)
            await tenant.update("filename = 'c.txt'", document)
            other = await tenant.inserted()
            await tenant.update("folder = 'x/y'", document)
            folders = [version["folder"] for version in await tenant.history(document)]
            assert folders == ["", "", "", "x/y"]
            assert await tenant.feed() == [other, document]
            await asyncio.to_thread(downgrade, target, "tenant_0002")
            await tenant.update("filename = 'd.txt'", document)
            assert len(await tenant.history(document)) == 5

    async def test_no_table_is_rewritten(self, create_database: CreateDatabase) -> None:
        target = Target(Tree.TENANT, "own", create_database())
        await migrated(target, "tenant_0002")
        query = "SELECT relname, relfilenode FROM pg_class WHERE relname LIKE 'document%'"
        async with session(target.url) as db:
            before = await db.fetch(query)
            await migrated(target)
            assert await db.fetch(query) == before


class TestRowsAsTheyAre:
    async def test_rows_that_no_answer_can_carry_are_moved_to_where_it_can(
        self, create_database: CreateDatabase
    ) -> None:
        target = Target(Tree.TENANT, "own", create_database())
        await migrated(target, "tenant_0004")
        async with session(target.url) as db:
            tenant = await tenant_in(db, opens=False)
            early, late, fine = [await tenant.inserted() for _ in range(3)]
            await tenant.update("created_at = '-infinity'", early)
            await tenant.update("is_deleted = true, deleted_at = '20000-01-01'", late)
            await db.execute("UPDATE files SET s3_path = '../x' WHERE id = $1", tenant.file_id)
            before = {document: await tenant.stamp(document) for document in (early, late, fine)}
            await migrated(target, "tenant_0005")
            times = "SELECT created_at, deleted_at FROM documents WHERE id = $1"
            assert (await db.fetchval(times, early)).year == 1
            assert (await db.fetchrow(times, late))["deleted_at"].year == 9999
            assert await tenant.stamp(early) > before[early]
            assert await tenant.stamp(late) > before[late]
            assert await tenant.stamp(fine) == before[fine]
            path = await db.fetchval("SELECT s3_path FROM files")
            assert path == f"{tenant.id}/{tenant.file_id}"
            assert await db.fetchval("SELECT bool_and(convalidated) FROM pg_constraint")


class TestHashes:
    async def test_rows_whose_hashes_are_none_stay_as_they_are(
        self, create_database: CreateDatabase
    ) -> None:
        target = Target(Tree.TENANT, "own", create_database())
        await migrated(target, "tenant_0008")
        async with session(target.url) as db:
            tenant = await tenant_in(db)
            change = "UPDATE files SET md5_hash = 'x', sha256_hash = repeat('A', 64)"
            await db.execute(change)
            await migrated(target)
            row = await db.fetchrow("SELECT id, trim(md5_hash), sha256_hash FROM files")
            assert tuple(row) == (tenant.file_id, "x", "A" * 64)
            with pytest.raises(asyncpg.CheckViolationError):
                await db.execute(change)


class TestLineages:
    async def test_what_cursors_of_before_carry_is_known(
        self, create_database: CreateDatabase
    ) -> None:
        """They carry the digests of the lineages' texts."""
        target = Target(Tree.TENANT, "own", create_database())
        await migrated(target, "tenant_0004")
        async with session(target.url) as db:
            tenant = await tenant_in(db, opens=False)
            await tenant.inserted()
            await db.execute("UPDATE tenant_clock SET lineage = 'before', generation = 3")
            forked_at = (await tenant.clock())["last"]
            await tenant.inserted()
            await db.execute("UPDATE tenant_clock SET lineage = 'now', generation = 4")
            last = (await tenant.clock())["last"]
            await migrated(target)
            before, now = (sha256(text).digest()[:8] for text in (b"before#3", b"now#4"))
            assert (await tenant.clock())["lineage"] == now
            assert await tenant.forks() == {before: forked_at}
            await tenant.inserted()
            assert await tenant.forks() == {before: forked_at, now: last}


class TestCollections:
    async def test_what_was_collected_or_left_before_counts_from_now(
        self, create_database: CreateDatabase
    ) -> None:
        """When it was is not known: it is kept for too long rather than too short."""
        target = Target(Tree.TENANT, "own", create_database())
        await migrated(target, "tenant_0010")
        async with session(target.url) as db:
            before = await db.fetchval("SELECT clock_timestamp()")
            await db.execute(
                "INSERT INTO collected_changes SELECT a, a, a, '2001-01-01' "
                "FROM gen_random_uuid() AS a"
            )
            await db.execute("INSERT INTO feed_forks VALUES (gen_random_uuid(), '', '2001-01-01')")
            await migrated(target)
            assert await db.fetchval("SELECT collected_at FROM collected_changes") > before
            assert await db.fetchval("SELECT left_at FROM feed_forks WHERE NOT is_void") > before


class TestTimeouts:
    async def test_a_migration_that_waits_for_a_lock_gives_up_and_leaves_nothing(
        self, target: Target
    ) -> None:
        """Whoever comes after it waits behind it: on a busy database all would stand still."""
        last_table = {Tree.CONTROL: "memberships", Tree.TENANT: "feed_entries"}[target.tree]
        empty = await schema(target.url)
        async with session(target.url) as db, rolled_back(db):
            await db.execute(f"CREATE TABLE {last_table} (id int)")
            with pytest.raises(Exception, match="lock timeout"):
                await asyncio.to_thread(upgrade, target, lock_timeout="200ms")
        left = [line for line in await schema(target.url) if "alembic_version" not in line]
        assert left == empty
        await migrated(target)

    @pytest.mark.parametrize(
        ("time_out", "complaint"),
        [("lock_timeout", "lock timeout"), ("statement_timeout", "statement timeout")],
    )
    async def test_one_that_is_stopped_midway_leaves_nothing_half_done(
        self, create_database: CreateDatabase, time_out: str, complaint: str
    ) -> None:
        """A reader's open transaction holds the second of the two tables that are changed."""
        target = Target(Tree.TENANT, "own", create_database())
        await migrated(target, "tenant_0002")
        before = await schema(target.url)
        async with session(target.url) as db, rolled_back(db):
            await db.execute("SELECT FROM document_history")
            with pytest.raises(Exception, match=complaint) as stopped:
                await asyncio.to_thread(upgrade, target, **{time_out: "200ms"})
        told = why_stopped(stopped.value)
        assert told is not None
        assert "run `syncapi migrate` again" in told
        assert (await schema(target.url), await current(target)) == (before, "tenant_0002")
        await migrated(target)

    def test_the_time_outs_are_in_the_sql_too(self) -> None:
        sql = upgrade_sql(Target(Tree.TENANT, "none", ""), None)
        assert "SET lock_timeout = '5s'" in sql
        assert "SET statement_timeout = '5min'" in sql


@asynccontextmanager
async def rolled_back(db: asyncpg.Connection) -> AsyncIterator[None]:
    transaction = db.transaction()
    await transaction.start()
    yield
    await transaction.rollback()
