"""Migrations on real databases: up, down, what they make, and what holds them up."""

import asyncio
import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from fixtures.checkout import CHECKOUT
from fixtures.feed_schema import schema
from soak.session import session
from syncapi.server.postgres import control, migrations, tables
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

_spec = importlib.util.spec_from_file_location("tools_schema", CHECKOUT / "tools" / "schema.py")
assert _spec is not None
assert _spec.loader is not None
schema_tool = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(schema_tool)

METADATA = {Tree.CONTROL: control.metadata, Tree.TENANT: tables.metadata}
CHANGED = {
    Tree.CONTROL: ("tenants", "memberships"),
    Tree.TENANT: ("documents", "document_history"),
}
PLACEHOLDER = "op.execute(...)"


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


class TestMake:
    """`make schema` and `make migration`."""

    async def test_schema_sql_is_what_the_migrations_make(self, target: Target) -> None:
        await migrated(target)
        shown = (CHECKOUT / "alembic" / target.tree / "schema.sql").read_text(encoding="utf-8")
        assert shown == schema_tool.dump_schema(target.url), "mend it: make schema"

    async def test_a_migration_that_is_made_goes_up_and_down(
        self, target: Target, scripts: Path
    ) -> None:
        made = make_altering_migration(scripts, target.tree, "ADD extra int", "DROP extra")
        assert made.name == "0002_documents_have_tags.py"
        assert await asyncio.to_thread(lint, made) == 0
        await migrated(target, "0001")
        before = await schema(target.url)
        await migrated(target)
        assert await current(target) == "0002"
        assert await schema(target.url) != before
        await asyncio.to_thread(downgrade, target, "-1")
        assert await schema(target.url) == before
        assert make_migration(scripts, target.tree, "And then").name == "0003_and_then.py"


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
        self, create_database: CreateDatabase, scripts: Path, time_out: str, complaint: str
    ) -> None:
        """A reader's open transaction holds the second of the two tables that are changed."""
        target = Target(Tree.TENANT, "own", create_database())
        made = make_altering_migration(scripts, target.tree, "ADD extra int", "DROP extra")
        made.write_text(
            re.sub(rf"{time_out} = '\w+'", f"{time_out} = '200ms'", made.read_text("utf-8"))
        )
        await migrated(target, "0001")
        before = await schema(target.url)
        async with session(target.url) as db, rolled_back(db):
            await db.execute("SELECT FROM document_history")
            with pytest.raises(Exception, match=complaint) as stopped:
                await migrated(target)
        told = why_stopped(stopped.value)
        assert told is not None
        assert "run `syncapi migrate` again" in told
        assert (await schema(target.url), await current(target)) == (before, "0001")
        await migrated(target)

    def test_several_at_once_wait_for_each_other(
        self, create_database: CreateDatabase, scripts: Path
    ) -> None:
        """An index that is made concurrently waits for all who wait for it inside a statement."""
        target = Target(Tree.TENANT, "own", create_database())
        made = make_migration(scripts, target.tree, "An index")
        index = "CREATE INDEX CONCURRENTLY files_size_idx ON files (file_size)"
        block = f'with op.get_context().autocommit_block():\n        op.execute("{index}")'
        made.write_text(made.read_text("utf-8").replace(PLACEHOLDER, block))
        with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as pool:
            for done in [pool.submit(upgrade_by, scripts, target) for _ in range(3)]:
                done.result(60)
        assert asyncio.run(current(target)) == "0002"

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


@pytest.fixture
def scripts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the folder of migrations, beside what makes one: they are this test's own."""
    shutil.copy(CHECKOUT / "Makefile", tmp_path)
    shutil.copytree(CHECKOUT / "tools", tmp_path / "tools")
    copy = tmp_path / "alembic"
    shutil.copytree(
        migrations.scripts_folder(), copy, ignore=shutil.ignore_patterns("__pycache__")
    )
    monkeypatch.setattr(migrations, "scripts_folder", lambda: copy)
    return copy


def make_migration(scripts: Path, tree: Tree, name: str) -> Path:
    """Make the next migration of a tree by `make migration`."""
    folder = scripts.parent
    bin_folder = Path(sys.executable).parent
    done = subprocess.run(
        [
            *("make", f"--directory={folder}", "--no-print-directory", "--old-file=.venv/.ready"),
            *("migration", f"BIN={bin_folder}", f"TREE={tree}", f"NAME={name}"),
        ],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return folder / done.stdout.strip()


def make_altering_migration(scripts: Path, tree: Tree, up: str, down: str) -> Path:
    """Make the next migration of a tree, which alters two tables."""
    made = make_migration(scripts, tree, "Documents have tags")
    text = made.read_text("utf-8")
    assert text.count(PLACEHOLDER) == 2
    for change in (up, down):
        statements = [f'op.execute("ALTER TABLE {table} {change}")' for table in CHANGED[tree]]
        text = text.replace(PLACEHOLDER, "\n    ".join(statements), 1)
    made.write_text(text)
    return made


def upgrade_by(scripts: Path, target: Target) -> None:
    """Migrate by the scripts of that folder, in a process of its own."""
    migrations.scripts_folder = lambda: scripts
    upgrade(target)


def lint(path: Path) -> int:
    """The exit code of the checks of format and lint."""
    ruff = (sys.executable, "-m", "ruff")
    options = ("--config", str(CHECKOUT / "pyproject.toml"), "--no-cache", str(path))
    checks = (("format", "--check"), ("check", "--ignore", "INP001,D"))
    return max(
        subprocess.run([*ruff, *check, *options], check=False).returncode for check in checks
    )
