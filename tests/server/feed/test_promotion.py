"""A real fail-over: the primary dies, and a standby that lacks its last commits is promoted.

The service finds the new primary by itself, by a URL that names both servers.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from uuid import uuid4

import pytest

from fixtures.following import Client, client, raw
from fixtures.until import until
from fixtures.worlds import ServeDatabase
from soak.replica import ByCursor
from soak.session import session
from soak.standby import (
    has_replayed,
    is_receiving,
    promote,
    start_standby,
    stop_receiving,
    url_of_either,
    written,
)
from soak.world import World, open_world
from syncapi.embedded import PostgresServer
from syncapi.server.postgres.migrations import Target, Tree, upgrade
from syncapi.server.settings import Settings


@dataclass(frozen=True)
class Pair:
    """A primary, its standby, and a URL that leads to the one that can write."""

    primary: PostgresServer
    standby: PostgresServer
    url: str


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with PostgresServer(tmp_path / "primary") as primary:
        url = primary.create_database("own")
        standby = start_standby(primary, tmp_path / "standby")
        try:
            yield Pair(primary, standby, url_of_either(url, standby.port))
        finally:
            standby.kill()


@pytest.fixture
async def world(
    pair: Pair, settings_of: Callable[[str], Settings], serve_database: ServeDatabase
) -> AsyncIterator[World]:
    for tree in Tree:
        await asyncio.to_thread(upgrade, Target(tree, "own", pair.url))
    async with AsyncExitStack() as stack:
        service = serve_database(pair.url)
        yield await open_world([service], settings_of(pair.url), stack, tenants=1)


async def caught_up(pair: Pair) -> None:
    position = await asyncio.to_thread(written, pair.primary)

    async def has_caught_up() -> bool:
        return await asyncio.to_thread(has_replayed, pair.standby, position)

    await until(has_caught_up)


async def cut_off(pair: Pair) -> None:
    await asyncio.to_thread(stop_receiving, pair.standby)

    async def is_cut_off() -> bool:
        return not await asyncio.to_thread(is_receiving, pair.standby)

    await until(is_cut_off)


async def fail_over(pair: Pair, witness: Client) -> None:
    """Between the two servers the service says that it is down."""
    await asyncio.to_thread(pair.primary.kill)
    answer = await witness.ask()
    assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE, answer.text
    assert "retry-after" in answer.headers
    await asyncio.to_thread(promote, pair.standby)

    async def is_served() -> bool:
        return (await witness.ask()).status_code != HTTPStatus.SERVICE_UNAVAILABLE

    await until(is_served)


@pytest.mark.slow
@pytest.mark.parametrize("is_written_before_they_come", [True, False])
async def test_a_promoted_standby_leaves_nobody_with_a_wrong_state(
    pair: Pair, world: World, *, is_written_before_they_come: bool
) -> None:
    ids = sorted(uuid4() for _ in range(6))
    before, within, turned, ahead = [await client(world, ByCursor()) for _ in range(4)]
    async with session(pair.url) as db:
        tenant = await raw(db, world.tenants[0])
        for document in ids:
            await tenant.insert(document)
        await before.follow()
        await within.turn_page()  # of a first run: it has two of six
        await caught_up(pair)
        await cut_off(pair)
        await tenant.update("filename = 'lost.txt'", ids[0], ids[2])
        await tenant.delete(ids[1])
        await tenant.insert(uuid4())
    await turned.turn_page()  # read after the fork, although it ends before it
    await ahead.follow()
    forked_with = dict(before.disk.documents)

    await fail_over(pair, before)
    async with session(pair.url) as db:
        tenant = await raw(db, world.tenants[0])
        if is_written_before_they_come:
            await tenant.delete(ids[5])
            await tenant.insert(uuid4())
        for each in (before, within, turned, ahead):
            await each.follow()
            assert await each.equals_the_server(db)
        await tenant.update("filename = 'new.txt'", ids[3])
        for each in (before, within, turned, ahead):
            await each.follow()
            assert await each.equals_the_server(db)
        forks = await tenant.forks()
    assert [each.expired for each in (before, within, turned, ahead)] == [0, 0, 1, 1]
    versions = [copy.version for copy in forked_with.values()]
    (forked_at,) = forks.values()
    assert f"{forked_at:%Y-%m-%dT%H:%M:%S.%fZ}" == max(versions)
