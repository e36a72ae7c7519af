"""Cursors over a fail-over to a server that lacks the last commits.

The server that took over is a copy of the database from before those commits, served with the
same keys: its lineage differs, as after a promotion.
"""

from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import pytest

from fixtures.following import client, raw
from fixtures.raw_tenant import RawTenant
from fixtures.worlds import MakeWorld, ServeDatabase
from soak.replica import ByCursor, ByTime, Progress
from soak.session import session
from soak.world import World
from syncapi.embedded.psql import psql


def copy_database(url: str) -> str:
    """Copy a database as it is now; returns the copy's URL."""
    parts = urlsplit(url)
    admin = urlunsplit(parts._replace(path="/postgres"))
    original, copy = parts.path[1:], f"copy_{uuid4().hex[:12]}"
    psql(
        admin,
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        f"WHERE datname = '{original}'",
    )
    psql(admin, f'CREATE DATABASE "{copy}" TEMPLATE "{original}"')
    return urlunsplit(parts._replace(path=f"/{copy}"))


class Failover:
    """A world whose server is lost, and taken over by a copy from before."""

    def __init__(self, world: World, serve: ServeDatabase) -> None:
        self.world = world
        self._serve = serve
        self._copy = ""

    def fork(self) -> None:
        """What is committed from here on is lost."""
        self._copy = copy_database(self.world.database_url)

    def take_over(self) -> str:
        """Switch to the copy; returns the URL of its database."""
        self.world.urls = [self._serve(self._copy)]
        return self._copy


@pytest.fixture
async def failover(make_world: MakeWorld, serve_database: ServeDatabase) -> Failover:
    return Failover(await make_world(1), serve_database)


ids = sorted(uuid4() for _ in range(5))


async def insert_one_by_one(tenant: RawTenant) -> None:
    for document in ids:
        await tenant.insert(document)


async def test_what_had_moved_on_in_the_lost_history_is_delivered(failover: Failover) -> None:
    """The page ended before the fork, but was read after it: the first document had left."""
    world = failover.world
    async with session(world.database_url) as db:
        await insert_one_by_one(await raw(db, world.tenants[0]))
    reader = await client(world, ByCursor())
    failover.fork()
    async with session(world.database_url) as db:
        await (await raw(db, world.tenants[0])).update("filename = 'lost.txt'", ids[0])
    await reader.turn_page()
    assert set(reader.disk.documents) == set(ids[1:3])
    async with session(failover.take_over()) as db:
        await (await raw(db, world.tenants[0])).insert(uuid4())
        await reader.follow()
        assert await reader.equals_the_server(db)


async def test_of_what_a_first_run_delivered_before_the_fork_a_deletion_is_told(
    failover: Failover,
) -> None:
    world = failover.world
    async with session(world.database_url) as db:
        await insert_one_by_one(await raw(db, world.tenants[0]))
    reader = await client(world, ByCursor())
    await reader.turn_page()
    assert set(reader.disk.documents) == set(ids[:2])
    failover.fork()
    async with session(failover.take_over()) as db:
        await (await raw(db, world.tenants[0])).delete(ids[0])
        await reader.follow()
        assert reader.expired == 0  # nothing that it has seen is lost
        assert await reader.equals_the_server(db)


@pytest.mark.parametrize("is_written", [False, True])
async def test_a_client_ahead_of_the_fork_begins_again(
    failover: Failover, *, is_written: bool
) -> None:
    """Also if nothing was written yet, so that the new server has not noticed the fork."""
    world = failover.world
    ahead, before = [await client(world, ByCursor()) for _ in range(2)]
    async with session(world.database_url) as db:
        await insert_one_by_one(await raw(db, world.tenants[0]))
    await before.follow()
    failover.fork()
    async with session(world.database_url) as db:
        tenant = await raw(db, world.tenants[0])
        await tenant.update("filename = 'lost.txt'", ids[0])
        await tenant.delete(ids[1])
        await tenant.insert(uuid4())
    await ahead.follow()
    async with session(failover.take_over()) as db:
        if is_written:
            await (await raw(db, world.tenants[0])).insert(uuid4())
        for each in (ahead, before):
            await each.follow()
            assert await each.equals_the_server(db)
    assert (ahead.expired, before.expired) == (1, 0)


@pytest.mark.parametrize("takes_first", [False, True])
@pytest.mark.parametrize("is_written", [False, True])
async def test_a_numbered_page_of_the_lost_history_leads_to_one_new_beginning(
    failover: Failover, *, is_written: bool, takes_first: bool
) -> None:
    """Also if nothing was written yet, so that the new server has not noticed the fork."""
    world = failover.world
    reader = await client(world, ByTime(takes_first))
    async with session(world.database_url) as db:
        await insert_one_by_one(await raw(db, world.tenants[0]))
    failover.fork()
    async with session(world.database_url) as db:
        await (await raw(db, world.tenants[0])).update("filename = 'lost.txt'", ids[0])
    await reader.turn_page()
    async with session(failover.take_over()) as db:
        if is_written:
            await (await raw(db, world.tenants[0])).insert(uuid4())
        await reader.follow()
        assert reader.expired == 1
        assert await reader.equals_the_server(db)


@pytest.mark.parametrize("start", [ByCursor(), ByTime(takes_first=False)])
@pytest.mark.parametrize("is_within_a_run", [False, True])
async def test_voided_cursors_lead_to_a_new_beginning(
    make_world: MakeWorld, start: Progress, *, is_within_a_run: bool
) -> None:
    """Those of time too. The numbered pages that the server keeps do not stand in the way."""
    world = await make_world(1)
    reader = await client(world, start)
    async with session(world.database_url) as db:
        tenant = await raw(db, world.tenants[0])
        await insert_one_by_one(tenant)
        await (reader.turn_page() if is_within_a_run else reader.follow())
        await db.execute("ALTER TABLE documents DISABLE TRIGGER ALL")
        await tenant.delete(ids[0])  # nobody will hear of it
        await db.execute("ALTER TABLE documents ENABLE TRIGGER ALL")
        await db.execute("SELECT feed.void_cursors()")
        await reader.follow()
        assert await reader.equals_the_server(db)
    assert reader.expired == 1
