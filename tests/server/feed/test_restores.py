"""Backups that are put back, siblings that are promoted in turn, and starts of one server.

All of these leave what PostgreSQL itself would tell histories by as it was: the cluster, and the
timeline.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from http import HTTPStatus
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from fixtures.following import Client, client, raw
from fixtures.until import until
from fixtures.worlds import ServeDatabase
from soak.replica import ByCursor
from soak.session import session
from soak.standby import copy_of, has_replayed, promote, start_standby, written
from soak.world import World, open_world
from syncapi.embedded import PostgresServer
from syncapi.embedded.psql import psql
from syncapi.server.postgres.migrations import Target, Tree, upgrade
from syncapi.server.settings import Settings

pytestmark = pytest.mark.slow

DATABASE = "own"
_TIMELINE = "SELECT timeline_id FROM pg_control_checkpoint()"
_SYSTEM = "SELECT system_identifier FROM pg_control_system()"


@pytest.fixture
def primary(tmp_path: Path) -> Iterator[PostgresServer]:
    with PostgresServer(tmp_path / "primary") as primary:
        primary.create_database(DATABASE)
        yield primary


@pytest.fixture
def running() -> Iterator[ExitStack]:
    """Ends the servers that a test starts."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
async def world(
    primary: PostgresServer, settings_of: Callable[[str], Settings], serve_database: ServeDatabase
) -> AsyncIterator[World]:
    url = primary.url(DATABASE)
    for tree in Tree:
        await asyncio.to_thread(upgrade, Target(tree, DATABASE, url))
    async with AsyncExitStack() as stack:
        yield await open_world([serve_database(url)], settings_of(url), stack, tenants=1)


async def write(server: PostgresServer, world: World, *inserts: UUID, touch: UUID | None) -> None:
    """Insert documents, each with a stamp of its own; make a new version of another."""
    async with session(server.url(DATABASE)) as db:
        tenant = await raw(db, world.tenants[0])
        for document in inserts:
            await tenant.insert(document)
        if touch is not None:
            await tenant.update("filename = 'touched'", touch)


async def in_step(server: PostgresServer, *clients: Client) -> bool:
    """Whether clients hold what the server holds, once they have pulled."""
    async with session(server.url(DATABASE)) as db:
        for each in clients:
            await each.follow()
        return all([await each.equals_the_server(db) for each in clients])


def same_history_to_postgres(*servers: PostgresServer) -> bool:
    found = {
        (psql(server.admin_url, _SYSTEM), psql(server.admin_url, _TIMELINE)) for server in servers
    }
    return len(found) == 1


async def test_a_base_backup_put_back_on_the_same_timeline(
    primary: PostgresServer,
    world: World,
    serve_database: ServeDatabase,
    running: ExitStack,
    tmp_path: Path,
) -> None:
    """The new history's stamps pass those of the lost one, so that no position looks too new."""
    before, ahead = [await client(world, ByCursor()) for _ in range(2)]
    kept, lost = sorted(uuid4() for _ in range(2))
    await write(primary, world, kept, touch=None)
    assert await in_step(primary, before)
    copy = await asyncio.to_thread(copy_of, primary, tmp_path / "copy", None)
    await write(primary, world, lost, touch=kept)
    assert await in_step(primary, ahead)
    await asyncio.to_thread(running.enter_context, copy)
    assert same_history_to_postgres(primary, copy)
    world.urls = [serve_database(copy.url(DATABASE))]
    await write(copy, world, uuid4(), uuid4(), touch=None)
    assert await in_step(copy, before, ahead)
    assert (before.expired, ahead.expired) == (0, 1)


async def test_two_siblings_promoted_in_turn(
    primary: PostgresServer,
    world: World,
    serve_database: ServeDatabase,
    running: ExitStack,
    tmp_path: Path,
) -> None:
    first, second = [
        await asyncio.to_thread(start_standby, primary, tmp_path / name) for name in ("a", "b")
    ]
    for standby in (first, second):
        running.callback(standby.kill)
    before, ahead = [await client(world, ByCursor()) for _ in range(2)]
    kept, lost = sorted(uuid4() for _ in range(2))
    await write(primary, world, kept, touch=None)
    assert await in_step(primary, before)
    position = await asyncio.to_thread(written, primary)
    for standby in (first, second):

        async def has_caught_up(standby: PostgresServer = standby) -> bool:
            return await asyncio.to_thread(has_replayed, standby, position)

        await until(has_caught_up)
    await asyncio.to_thread(primary.kill)

    for standby in (first, second):
        await asyncio.to_thread(promote, standby)
        psql(standby.admin_url, "CHECKPOINT")  # so that the control file has the timeline
    assert same_history_to_postgres(first, second)
    world.urls = [serve_database(first.url(DATABASE))]
    await write(first, world, lost, touch=kept)
    assert await in_step(first, ahead)
    world.urls = [serve_database(second.url(DATABASE))]
    await write(second, world, uuid4(), uuid4(), touch=None)
    assert await in_step(second, before, ahead)
    assert (before.expired, ahead.expired) == (0, 1)


async def test_a_backup_put_back_twice_and_voided_each_time(
    primary: PostgresServer,
    world: World,
    serve_database: ServeDatabase,
    running: ExitStack,
    tmp_path: Path,
) -> None:
    """What the client got of the first one it must not drop, and it is not in the second one."""
    reader = await client(world, ByCursor())
    await write(primary, world, uuid4(), touch=None)
    copies = [  # of one moment
        await asyncio.to_thread(copy_of, primary, tmp_path / name, None) for name in ("a", "b")
    ]
    for expected, copy in enumerate(copies):
        await asyncio.to_thread(running.enter_context, copy)
        world.urls = [serve_database(copy.url(DATABASE))]
        await asyncio.to_thread(psql, copy.url(DATABASE), "SELECT feed.void_cursors()")
        if expected:
            answer = await reader.ask()
            assert answer.status_code == HTTPStatus.GONE
            assert answer.json()["reason"] == "history_lost"
        await write(copy, world, uuid4(), touch=None)
        assert await in_step(copy, reader)
        assert reader.expired == expected


async def test_starts_of_the_server_cost_no_client_anything(
    primary: PostgresServer, world: World
) -> None:
    ids = sorted(uuid4() for _ in range(6))
    asleep, within, poller = [await client(world, ByCursor()) for _ in range(3)]
    await write(primary, world, *ids, touch=None)
    assert await in_step(primary, asleep, poller)
    await within.turn_page()
    for number in range(3):
        await asyncio.to_thread(primary.stop)
        await asyncio.to_thread(primary.start)
        await served(poller)
        await write(primary, world, uuid4(), touch=ids[number])
        assert await in_step(primary, poller)
    assert await in_step(primary, asleep, within)
    assert [each.expired for each in (asleep, within, poller)] == [0, 0, 0]
    async with session(primary.url(DATABASE)) as db:
        assert len(await (await raw(db, world.tenants[0])).forks()) == 3


async def served(witness: Client) -> None:
    async def is_served() -> bool:
        return (await witness.ask()).status_code == HTTPStatus.OK

    await until(is_served)
