"""An operator's verb at work: settings in, collaborators open, everything closed after it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeVar

from syncapi.cli.configuration import load_settings
from syncapi.postgres.control import ControlStore
from syncapi.postgres.databases import Databases, PoolLimits
from syncapi.redis.client import connect
from syncapi.redis.invalidation import Invalidations
from syncapi.settings import Settings
from syncapi.usecases.tenants import TenantAdministration
from syncapi.wiring import database_urls

Result = TypeVar("Result")


def administer(work: Callable[[TenantAdministration], Awaitable[Result]]) -> Result:
    """Run ``work`` against the control database that the settings name.

    Raises:
        CommandFailed: the settings are not right.
        Refusal: as ``work`` does.
    """
    settings = load_settings()

    async def run() -> Result:
        async with _administration(settings) as administration:
            return await work(administration)

    return asyncio.run(run())


@asynccontextmanager
async def _administration(settings: Settings) -> AsyncIterator[TenantAdministration]:
    async with AsyncExitStack() as stack:
        databases = await stack.enter_async_context(
            Databases(database_urls(settings), PoolLimits(size=1))
        )
        redis = None
        if settings.redis_url is not None:
            redis = connect(settings.redis_url.get_secret_value())
            stack.push_async_callback(redis.aclose)
        yield TenantAdministration(
            ControlStore(databases.control), databases, Invalidations(redis)
        )
