"""What the driver says of a server that stops is an answer to the caller, never a defect."""

from uuid import uuid4

import asyncpg
import pytest
from asyncpg.prepared_stmt import PreparedStatement

from syncapi.domain.access import operator
from syncapi.domain.errors import Unavailable
from syncapi.postgres.databases import Databases, TenantConnection
from syncapi.postgres.engines import DEFAULT_DATABASE, DatabaseUrls, PoolLimits
from syncapi.postgres.feed_identity import open_feed


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
