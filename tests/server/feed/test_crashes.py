"""The service and PostgreSQL are killed at their worst moments; nothing is half done."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from http import HTTPStatus
from pathlib import Path
from uuid import uuid4

import asyncpg
import httpx
import pytest

from fixtures.following import Client, client, raw
from fixtures.process import environment_of, service_process
from fixtures.until import until
from fixtures.worlds import ServeDatabase
from soak import truth
from soak.checker import Cast, Checker
from soak.replica import ByCursor
from soak.session import session
from soak.tally import Budget
from soak.world import World, open_world
from syncapi.embedded import PostgresServer
from syncapi.server.postgres.migrations import Target, Tree, upgrade
from syncapi.server.settings import Settings

SettingsOf = Callable[[str], Settings]

_WAITING = """
SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database()
AND wait_event_type = 'Lock' AND query LIKE '%feed.flush%'
"""
_SESSIONS = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid = ANY($1)
"""
_PIDS = """
SELECT array_agg(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


class TestService:
    async def test_killed_within_an_upload_it_leaves_no_row_and_a_retry_succeeds(
        self, settings_of: SettingsOf, create_migrated_database: Callable[[], str], tmp_path: Path
    ) -> None:
        """All is written and flushed, and the commit alone is missing."""
        settings = settings_of(create_migrated_database())
        environment = environment_of(settings, rate_limit="")
        async with AsyncExitStack() as stack:
            with service_process(environment, tmp_path) as service:
                world = await open_world([service.url], settings, stack, tenants=1)
                db = await stack.enter_async_context(session(world.database_url))
                upload = await self.killed_at_the_clock(world, db, service.process.kill)
                with pytest.raises(httpx.TransportError):
                    await upload
            tenant = world.tenants[0]
            assert await truth.documents(db, tenant) == {}
            assert await db.fetchval("SELECT count(*) FROM feed_entries") == 0
            assert await db.fetchval("SELECT count(*) FROM files WHERE file_size = 7") == 0
            with service_process(environment, tmp_path) as service:
                world.urls = [service.url]
                assert (await self.upload(world)).status_code == HTTPStatus.CREATED
                reader = await client(world, ByCursor())
                await reader.follow()
                assert len(reader.disk.documents) == 1
                assert await reader.equals_the_server(db)

    async def killed_at_the_clock(
        self, world: World, db: asyncpg.Connection, kill: Callable[[], None]
    ) -> asyncio.Task[httpx.Response]:
        """Stop the tenant's clock, upload, and kill the service while it waits for the clock."""
        async with session(world.database_url) as holder:
            transaction = holder.transaction()
            await transaction.start()
            await holder.execute("SELECT feed.tick($1)", world.tenants[0])
            upload = asyncio.create_task(self.upload(world))

            async def is_waiting() -> bool:
                return bool(await db.fetchval(_WAITING))

            await until(is_waiting)
            sessions = await db.fetchval(_PIDS)
            kill()
            await transaction.rollback()

        async def has_ended() -> bool:
            return int(await db.fetchval(_SESSIONS, sessions)) == 0

        await until(has_ended)
        return upload

    async def upload(self, world: World) -> httpx.Response:
        member = await world.member(world.tenants[0])
        files = {"file": ("a.txt", b"content", "text/plain")}
        return await world.request(member, "POST", "/documents", files=files)


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[PostgresServer]:
    """A PostgreSQL that is nobody else's, and keeps what it has committed."""
    with PostgresServer(tmp_path / "postgres") as server:
        yield server


@pytest.fixture
def hesitant(tmp_path: Path) -> Iterator[PostgresServer]:
    """One that writes its log only when it must."""
    with PostgresServer(tmp_path / "hesitant", settings={"wal_writer_delay": "10s"}) as server:
        yield server


@pytest.fixture
async def make_world_on(
    settings_of: SettingsOf, serve_database: ServeDatabase
) -> AsyncIterator[Callable[[PostgresServer], Awaitable[World]]]:
    async with AsyncExitStack() as stack:

        async def make(server: PostgresServer) -> World:
            url = server.create_database("own")
            for tree in Tree:
                await asyncio.to_thread(upgrade, Target(tree, "own", url))
            return await open_world([serve_database(url)], settings_of(url), stack, tenants=2)

        yield make


@pytest.fixture
async def world(
    postgres: PostgresServer, make_world_on: Callable[[PostgresServer], Awaitable[World]]
) -> World:
    return await make_world_on(postgres)


@pytest.fixture
async def hesitant_world(
    hesitant: PostgresServer, make_world_on: Callable[[PostgresServer], Awaitable[World]]
) -> World:
    return await make_world_on(hesitant)


class TestPostgres:
    @pytest.mark.slow
    async def test_killed_under_load_it_is_a_503_and_then_all_goes_on(
        self, world: World, postgres: PostgresServer
    ) -> None:
        cast = Cast(
            sql_writers=4, api_writers=2, cursor_readers=2, time_readers=1, is_disturbed=False
        )
        checker = Checker(world, seed=1, cast=cast)
        budget = Budget()
        outcome = await checker.run(budget, self.killing(world, postgres, checker, budget))
        assert not outcome.misses, str(outcome)
        assert outcome.tally.counts["read: 503 with Retry-After"], str(outcome)
        assert outcome.tally.counts["checked: documents at rest"], str(outcome)

    async def test_what_a_client_has_seen_survives_whatever_the_writer_asked_for(
        self, hesitant_world: World, hesitant: PostgresServer
    ) -> None:
        """A commit that may be lost is visible; after the crash nothing would tell it from others.

        The timeline is the same, and new stamps soon pass the client's position.
        """
        reader = await client(hesitant_world, ByCursor())
        tenant_id = hesitant_world.tenants[0]
        async with session(hesitant_world.database_url) as db:
            tenant = await raw(db, tenant_id)
            await db.execute("SET synchronous_commit = off")
            await tenant.insert(seen := uuid4())
            await reader.follow()
        await asyncio.to_thread(hesitant.kill)
        await asyncio.to_thread(hesitant.start)
        async with session(hesitant_world.database_url) as db:
            await (await raw(db, tenant_id)).insert(uuid4())
            await reader.follow()
            assert seen in reader.disk.documents
            assert await reader.equals_the_server(db)

    async def killing(
        self, world: World, postgres: PostgresServer, checker: Checker, budget: Budget
    ) -> None:
        """Kill it twice, each time amidst of writes, and see that the service says so."""
        follower = Client(world, await world.member(world.tenants[0]), ByCursor())
        await follower.turn_page()
        for _ in range(2):
            await self.more_commits(checker)
            await asyncio.to_thread(postgres.kill)
            answer = await follower.ask()
            assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE, answer.text
            assert int(answer.headers["retry-after"]) > 0
            await asyncio.to_thread(postgres.start)
        await self.more_commits(checker)
        budget.end()

    async def more_commits(self, checker: Checker) -> None:
        """Wait until writers have done something."""
        committed = "sql: committed, read committed"
        enough = checker.tally.counts[committed] + 15

        async def is_busy() -> bool:
            return checker.tally.counts[committed] > enough

        await until(is_busy)
