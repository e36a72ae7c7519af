"""Bounded pools of connections, one per database, and the ways into a tenant's data."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self, TypeVar
from uuid import UUID

import asyncpg
import structlog
from sqlalchemy import event, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from syncapi.domain.access import TenantScope
from syncapi.domain.errors import Unavailable
from syncapi.postgres.failures import down_as_unavailable, is_transient, unavailable

CONNECT_TIMEOUT = 5.0
WRITE_ATTEMPTS = 6
DEFAULT_DATABASE = "default"

_FLUSH = text("SELECT feed.flush(:tenant)")
_SET_ACTOR = text("SELECT set_config('syncapi.actor', :actor, true)")

Result = TypeVar("Result")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class DatabaseUrls:
    """Where each database is: a listed URL, else the template with the name filled in."""

    default: str
    control: str | None = None
    named: Mapping[str, str] = field(default_factory=dict)
    template: str | None = None

    def tenant(self, name: str) -> str:
        """The URL of a tenant database.

        Raises:
            Unavailable: the name is neither listed nor covered by the template.
        """
        if name in self.named:
            return self.named[name]
        if name == DEFAULT_DATABASE:
            return self.default
        if self.template is not None:
            return self.template.replace("{database}", name)
        raise Unavailable(
            f"No URL is configured for the database '{name}': add it to "
            "SYNCAPI_TENANT_DATABASE_URLS or set SYNCAPI_TENANT_DATABASE_URL_TEMPLATE."
        )


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """How many connections one process holds to one database, and for how long (seconds)."""

    size: int = 10
    wait: float = 5.0
    idle: float = 300.0
    statement_timeout: float = 30.0
    prepared_statements: bool = True


def connector(
    url: str, *, statement_timeout: float = 30.0, prepared_statements: bool = True
) -> Callable[[], Awaitable[asyncpg.Connection]]:
    """Make a function that opens a connection.

    The driver reads the URL itself, so that all of libpq's parameters work. Behind a pooler
    (``prepared_statements=False``) no start-up parameters are sent: poolers refuse them.
    """
    session = {
        "application_name": "syncapi",
        "timezone": "UTC",
        "jit": "off",  # every query here is short: compiling one costs more than it saves
        "statement_timeout": str(int(statement_timeout * 1000)),
        "idle_in_transaction_session_timeout": str(int(statement_timeout * 1000)),
    }

    async def connect() -> asyncpg.Connection:
        return await asyncpg.connect(
            url,
            timeout=CONNECT_TIMEOUT,
            command_timeout=statement_timeout + 1,
            statement_cache_size=256 if prepared_statements else 0,
            server_settings=session if prepared_statements else None,
        )

    return connect


def _refuse_closed(
    connection: DBAPIConnection, _entry: ConnectionPoolEntry, _fairy: object
) -> None:
    # The event loop has seen the server hang up: the pool replaces it, no ping is needed.
    if connection.driver_connection.is_closed():
        raise DisconnectionError


def create_engine(url: str, limits: PoolLimits) -> AsyncEngine:
    """An engine whose pool is bounded and drops connections that the server has closed."""
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connector(
            url,
            statement_timeout=limits.statement_timeout,
            prepared_statements=limits.prepared_statements,
        ),
        pool_size=limits.size,
        max_overflow=0,
        pool_timeout=limits.wait,
        pool_use_lifo=True,
        hide_parameters=True,  # errors are logged, and values are names of files
    )
    event.listen(engine.sync_engine, "checkout", _refuse_closed)
    return engine


@dataclass(frozen=True, slots=True)
class TenantConnection:
    """A connection that serves one scope. Repositories take it, and nothing else."""

    scope: TenantScope
    connection: AsyncConnection
    driver: asyncpg.Connection

    @property
    def tenant_id(self) -> UUID:
        return self.scope.tenant_id

    async def stamp(self) -> datetime | None:
        """Fire the feed's triggers and return the version that this transaction commits.

        The tenant's clock is held from here, so make it the last statement of the work.
        None if the transaction changed no document.
        """
        found = await self.connection.execute(_FLUSH, {"tenant": self.tenant_id})
        return found.scalar_one()  # type: ignore[no-any-return]  # untyped SQL function


@dataclass(slots=True)
class _Pool:
    engine: AsyncEngine
    reader: AsyncEngine
    last_used: float
    in_use: int = 0


class Databases:
    """The pools of this process; an async context manager that closes them."""

    def __init__(self, urls: DatabaseUrls, limits: PoolLimits) -> None:
        self._urls = urls
        self._limits = limits
        self._pools: dict[str, _Pool] = {}
        self._reaper: asyncio.Task[None] | None = None
        self.control = create_engine(urls.control or urls.default, limits)

    async def __aenter__(self) -> Self:
        self._reaper = asyncio.create_task(self._close_idle())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._reaper is not None:
            self._reaper.cancel()
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            await pool.engine.dispose()
        await self.control.dispose()

    @asynccontextmanager
    async def database(self, name: str) -> AsyncIterator[asyncpg.Connection]:
        """A connection for work that is of no single tenant, such as the heads of many.

        Raises:
            Unavailable: the database does not answer.
        """
        async with self._connection(name, autocommit=True) as (_, driver):
            yield driver

    async def check(self, name: str = DEFAULT_DATABASE) -> None:
        """See that a database answers.

        Raises:
            Unavailable: it does not.
        """
        async with self.database(name) as driver:
            await driver.execute("SELECT 1")

    @asynccontextmanager
    async def reading(self, scope: TenantScope) -> AsyncIterator[TenantConnection]:
        """A connection for reads: each statement is a snapshot of its own.

        Raises:
            Unavailable: the database does not answer.
        """
        async with self.autocommitting(scope) as connection:
            yield connection

    @asynccontextmanager
    async def autocommitting(self, scope: TenantScope) -> AsyncIterator[TenantConnection]:
        """A connection whose every statement is a transaction, committed when it has returned.

        Raises:
            Unavailable: the database does not answer.
        """
        async with self._connection(scope.database, autocommit=True) as (connection, driver):
            yield TenantConnection(scope, connection, driver)

    async def writing(
        self,
        scope: TenantScope,
        work: Callable[[TenantConnection], Awaitable[Result]],
    ) -> Result:
        """Run `work` in a transaction and commit it before returning.

        The history names the scope's user as the author of what is written.

        Serialisation failures, deadlocks and lock time-outs run `work` again, so it must have
        no effect outside the transaction. A connection lost during COMMIT is not retried: what
        became of it is not known here.

        Raises:
            Unavailable: the database does not answer, or every attempt failed.
        """
        actor = str(scope.user_id or "")
        for attempt in range(1, WRITE_ATTEMPTS + 1):
            try:
                return await self._transaction(scope, work, actor)
            except Exception as error:
                if not is_transient(error):
                    raise
                log.debug("transaction_retried", attempt=attempt, database=scope.database)
            await asyncio.sleep(random.uniform(0, 0.01 * 2**attempt))  # noqa: S311 - jitter
        raise unavailable(scope.database)

    async def _transaction(
        self,
        scope: TenantScope,
        work: Callable[[TenantConnection], Awaitable[Result]],
        actor: str,
    ) -> Result:
        async with (
            self._connection(scope.database, autocommit=False) as (connection, driver),
            connection.begin(),
        ):
            # Also opens the transaction, so that work on the bare driver is inside it.
            await connection.execute(_SET_ACTOR, {"actor": actor})
            return await work(TenantConnection(scope, connection, driver))

    @asynccontextmanager
    async def _connection(
        self, name: str, *, autocommit: bool
    ) -> AsyncIterator[tuple[AsyncConnection, asyncpg.Connection]]:
        pool = self._pool(name)
        pool.in_use += 1
        try:
            engine = pool.reader if autocommit else pool.engine
            with down_as_unavailable(name):
                async with engine.connect() as connection:
                    raw = await connection.get_raw_connection()
                    yield connection, raw.driver_connection
        finally:
            pool.in_use -= 1
            pool.last_used = time.monotonic()

    def _pool(self, name: str) -> _Pool:
        pool = self._pools.get(name)
        if pool is None:
            engine = create_engine(self._urls.tenant(name), self._limits)
            reader = engine.execution_options(isolation_level="AUTOCOMMIT")
            pool = self._pools[name] = _Pool(engine, reader, time.monotonic())
        return pool

    async def _close_idle(self) -> None:
        while True:
            await asyncio.sleep(self._limits.idle / 2)
            horizon = time.monotonic() - self._limits.idle
            for name, pool in list(self._pools.items()):
                if pool.in_use == 0 and pool.last_used < horizon:
                    del self._pools[name]
                    await pool.engine.dispose()
