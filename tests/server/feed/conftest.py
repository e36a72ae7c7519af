"""Sessions in the worker's database, and tenants of one's own in it."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import asyncpg
import pytest

from fixtures.raw_tenant import Connect, RawTenant, tenant_in
from syncapi.server.postgres.engines import connector


@pytest.fixture
async def connect(database_url: str) -> AsyncIterator[Connect]:
    """Opens sessions in the worker's database."""
    async with AsyncExitStack() as stack:

        async def connect() -> asyncpg.Connection:
            connection = await connector(database_url)()
            stack.push_async_callback(connection.close)
            return connection

        yield connect


@pytest.fixture
async def db(connect: Connect) -> asyncpg.Connection:
    """A session in the worker's database."""
    return await connect()


@pytest.fixture
async def tenant(db: asyncpg.Connection) -> RawTenant:
    """A tenant of the test's own."""
    return await tenant_in(db)


@pytest.fixture
def own_url(create_migrated_database: Callable[[], str]) -> str:
    """A database of the test's own."""
    return create_migrated_database()


@pytest.fixture
async def own_db(own_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A session in a database of the test's own, whose functions it may replace."""
    connection = await connector(own_url)()
    yield connection
    await connection.close()
