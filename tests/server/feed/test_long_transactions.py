"""Transactions that stay open and statements that are large stand in nobody's way.

Nothing here measures time: what must not wait is awaited while the other is still open.
"""

import asyncio
from uuid import UUID, uuid4

import asyncpg
import pytest

from fixtures.following import Client, client, raw
from fixtures.worlds import MakeWorld
from soak import truth
from soak.replica import ByCursor
from soak.session import session
from soak.world import World

MANY = 20_000


async def follow_all(world: World, tenants: list[UUID]) -> list[Client]:
    clients = [Client(world, await world.member(tenant), ByCursor()) for tenant in tenants]
    for each in clients:
        await each.follow()
    return clients


async def test_an_open_transaction_delays_nobody(make_world: MakeWorld) -> None:
    world = await make_world(2)
    mine, other = world.tenants
    async with session(world.database_url) as slow, session(world.database_url) as quick:
        held, free = uuid4(), uuid4()
        writer = await raw(quick, mine)
        await writer.insert(held, free)
        transaction = slow.transaction()
        await transaction.start()
        await writer.insert(late := uuid4(), by=slow)
        await writer.update("filename = 'late.txt'", held, by=slow)

        # All of this happens while it is open.
        await writer.insert(second := uuid4())
        await writer.update("filename = 'quick.txt'", free)
        await (await raw(quick, other)).insert(elsewhere := uuid4())
        here, there = await follow_all(world, [mine, other])
        assert set(here.disk.documents) == {held, free, second}
        assert set(there.disk.documents) == {elsewhere}

        await transaction.commit()
        await here.follow()
        assert here.disk.documents == await truth.documents(quick, mine)
        assert here.disk.documents[late].version == here.disk.documents[held].version
        assert here.disk.documents[late].version > here.disk.documents[second].version


async def test_who_holds_the_clock_delays_this_tenants_writers_alone(
    make_world: MakeWorld,
) -> None:
    """As a person at psql may, who flushes the triggers and goes to lunch."""
    world = await make_world(2)
    mine, other = world.tenants
    async with session(world.database_url) as slow, session(world.database_url) as quick:
        writer = await raw(quick, mine)
        await writer.insert(known := uuid4())
        transaction = slow.transaction()
        await transaction.start()
        await writer.insert(late := uuid4(), by=slow)
        await slow.execute("SET CONSTRAINTS ALL IMMEDIATE")

        await (await raw(quick, other)).insert(elsewhere := uuid4())
        here, there = await follow_all(world, [mine, other])
        assert set(here.disk.documents) == {known}
        assert set(there.disk.documents) == {elsewhere}
        await quick.execute("SET lock_timeout = '50ms'")
        with pytest.raises(asyncpg.LockNotAvailableError):
            await writer.insert(uuid4())

        await transaction.commit()
        await writer.insert(after := uuid4())
        await here.follow()
        assert set(here.disk.documents) == {known, late, after}


@pytest.mark.slow
async def test_a_statement_of_many_rows(make_world: MakeWorld) -> None:
    """One stamp for all: the pages of a run part it by the documents' ids."""
    world = await make_world(2)
    mine, other = world.tenants
    patient = session(world.database_url, statement_timeout=240)
    async with patient as large, session(world.database_url) as small:
        writer = await raw(large, mine)
        reader = await client(world, ByCursor())
        ids = [uuid4() for _ in range(MANY)]
        inserting = asyncio.create_task(writer.insert(*ids))
        neighbour = await raw(small, other)
        while not inserting.done():
            await neighbour.insert(uuid4())
            await reader.turn_page()
        await inserting
        await reader.follow(per_page=500)
        assert reader.disk.documents.keys() == set(ids)
        assert len({copy.version for copy in reader.disk.documents.values()}) == 1
        assert reader.disk.documents == await truth.documents(small, mine)

        await writer.delete(*ids[: MANY // 10])
        await reader.follow(per_page=500)
        assert reader.disk.documents == await truth.documents(small, mine)
