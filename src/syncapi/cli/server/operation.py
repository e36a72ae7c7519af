"""Runs an operator's verb: reads the settings, opens what the verb needs, and closes it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeVar

from syncapi.cli.server.settings_loading import load_settings
from syncapi.server.factories import database_urls
from syncapi.server.postgres.control import ControlStore
from syncapi.server.postgres.databases import Databases
from syncapi.server.postgres.engines import PoolLimits
from syncapi.server.redis.client import connect
from syncapi.server.redis.invalidation import Invalidations
from syncapi.server.settings import Settings
from syncapi.server.usecases.feeds import FeedAdministration
from syncapi.server.usecases.tenants import TenantAdministration

Result = TypeVar("Result")

_Tools = tuple[ControlStore, Databases, Invalidations]


# Seconds that a statement may take: one that corrects a feed reads all documents of a tenant.
_STATEMENT_TIMEOUT = 3600.0


def administer(work: Callable[[TenantAdministration], Awaitable[Result]]) -> Result:
    """Run ``work`` on tenants against the databases that the settings name.

    Raises:
        CommandFailed: the settings are not right.
        Refusal: as ``work`` does.
    """
    return _run(lambda tools: work(TenantAdministration(*tools)))


def administer_feeds(work: Callable[[FeedAdministration], Awaitable[Result]]) -> Result:
    """Run ``work`` on feeds. Raises as `administer` does."""
    return _run(lambda tools: work(FeedAdministration(*tools)))


def _run(work: Callable[[_Tools], Awaitable[Result]]) -> Result:
    settings = load_settings()

    async def run() -> Result:
        async with _tools(settings) as tools:
            return await work(tools)

    return asyncio.run(run())


@asynccontextmanager
async def _tools(settings: Settings) -> AsyncIterator[_Tools]:
    async with AsyncExitStack() as stack:
        limits = PoolLimits(size=1, statement_timeout=_STATEMENT_TIMEOUT)
        databases = await stack.enter_async_context(Databases(database_urls(settings), limits))
        redis = None
        if settings.redis_url is not None:
            redis = connect(settings.redis_url.get_secret_value())
            stack.push_async_callback(redis.aclose)
        yield ControlStore(databases.control), databases, Invalidations(redis)
