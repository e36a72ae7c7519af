"""What the driver says of a server that stops is an answer to the caller, never a defect."""

import asyncio
from uuid import uuid4

import asyncpg
import pytest
from asyncpg.prepared_stmt import PreparedStatement

from fixtures.service import TestTenant
from syncapi.server.domain.access import operator
from syncapi.server.domain.errors import Unavailable
from syncapi.server.postgres import documents
from syncapi.server.postgres.control import ControlStore
from syncapi.server.postgres.databases import Databases, TenantConnection
from syncapi.server.postgres.engines import DEFAULT_DATABASE, DatabaseUrls, PoolLimits
from syncapi.server.postgres.feed_identity import open_feed


async def _nothing(_connection: TenantConnection) -> None:
    pass


@pytest.mark.parametrize("error", [asyncpg.InternalClientError, asyncpg.InterfaceError, OSError])
async def test_a_server_that_stops_while_it_is_connected_to(
    database_url: str, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    """Whatever SQLAlchemy makes of it: it translates what the driver raises, and wraps that."""

    async def stopped(*_arguments: object, **_options: object) -> None:
        raise error("cannot switch to state 12; another operation (2) is in progress")

    scope = operator(uuid4(), DEFAULT_DATABASE, uuid4())
    async with Databases(DatabaseUrls(database_url), PoolLimits(size=1)) as databases:
        async with databases.database(DEFAULT_DATABASE) as driver:
            await open_feed(driver, scope.tenant_id, scope.feed_id or uuid4())
        with monkeypatch.context() as patched:
            patched.setattr(PreparedStatement, "fetch", stopped)
            with pytest.raises(Unavailable):
                await databases.writing(scope, _nothing)
        await databases.writing(scope, _nothing)


async def test_a_control_database_that_hangs_keeps_no_request_for_half_a_minute(
    database_url: str,
) -> None:
    """Nor a connection that others need when it answers again."""
    holder = await asyncpg.connect(database_url)
    async with Databases(DatabaseUrls(database_url), PoolLimits(size=1)) as databases:
        control = ControlStore(databases.control)
        async with holder.transaction():
            await holder.execute("LOCK TABLE memberships IN ACCESS EXCLUSIVE MODE")
            async with asyncio.timeout(25):  # a statement may take 30 s by default
                with pytest.raises(Unavailable):
                    await control.membership(uuid4(), uuid4())
        assert await control.membership(uuid4(), uuid4()) is None
    await holder.close()


@pytest.mark.parametrize("way", ["reading", "database", "control"])
async def test_a_read_that_meets_a_lock_which_its_session_gives_up(
    tenant: TestTenant, database_url: str, way: str
) -> None:
    """As where an operator has all sessions give up locks, and changes a table."""
    holder = await asyncpg.connect(database_url)
    impatient = DatabaseUrls(f"{database_url}?lock_timeout=100ms")
    async with Databases(impatient, PoolLimits(size=1)) as databases:

        async def read() -> object:
            match way:
                case "reading":
                    async with databases.reading(tenant.scope()) as connection:
                        return await documents.find(connection, uuid4())
                case "database":
                    async with databases.database(DEFAULT_DATABASE) as driver:
                        return await driver.fetchval("SELECT max(created_at) FROM documents")
                case _:
                    return await ControlStore(databases.control).membership(uuid4(), uuid4())

        async with holder.transaction():
            await holder.execute("LOCK TABLE documents, memberships IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(Unavailable, match="keeps locked"):
                await read()
        await read()
    await holder.close()
