"""Sessions of the database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from syncapi.server.postgres.engines import connector


@asynccontextmanager
async def session(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A session with the service's settings, cut off at the end whatever it is doing."""
    connection = await connector(database_url)()
    try:
        yield connection
    finally:
        connection.terminate()
