"""The migrations of the tenant databases: up, down, and the tables as the code has them."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from syncapi.server.postgres.engines import connector
from syncapi.server.postgres.migrations import Target, Tree, current, downgrade, head, upgrade
from syncapi.server.postgres.tables import metadata


def _differences(connection: Connection) -> list[Any]:
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    found: list[Any] = compare_metadata(context, metadata)
    return [
        one for one in found if one[0] != "remove_table_comment" and "alembic" not in str(one[1])
    ]


async def _compared(url: str) -> list[Any]:
    engine = create_async_engine("postgresql+asyncpg://", async_creator=connector(url))
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(_differences)
    finally:
        await engine.dispose()


def test_migrations_at_once_wait_for_each_other(create_database: Callable[[], str]) -> None:
    """An index that is made concurrently waits for all who wait for it inside a statement."""
    target = Target(Tree.TENANT, "test", create_database())
    with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as pool:
        for done in [pool.submit(upgrade, target) for _ in range(3)]:
            done.result(60)
    assert asyncio.run(current(target)) == head(target)


def test_up_down_and_up_again(create_database: Callable[[], str]) -> None:
    target = Target(Tree.TENANT, "test", create_database())
    upgrade(target)
    assert asyncio.run(current(target)) == head(target)
    assert asyncio.run(_compared(target.url)) == []
    downgrade(target, "tenant_0001")
    upgrade(target)
    assert asyncio.run(_compared(target.url)) == []
    downgrade(target)
    assert asyncio.run(current(target)) is None
    upgrade(target)
    assert asyncio.run(current(target)) == head(target)
