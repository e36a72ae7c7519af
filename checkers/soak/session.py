"""Sessions of the database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from syncapi.server.postgres.engines import connector


@asynccontextmanager
async def session(
    database_url: str, *, statement_timeout: float = 30.0
) -> AsyncIterator[asyncpg.Connection]:
    """A session with the service's settings, cut off at the end whatever it is doing."""
    connection = await connector(database_url, statement_timeout=statement_timeout)()
    try:
        yield connection
    finally:
        connection.terminate()
