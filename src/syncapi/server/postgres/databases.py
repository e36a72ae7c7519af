"""Bounded pools of connections, one per database, and the ways into a tenant's data."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self, TypeVar
from uuid import UUID

import asyncpg
import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from syncapi.protocol.backoff import backoff
from syncapi.server.domain.access import TenantScope
from syncapi.server.postgres.engines import (
    DEFAULT_DATABASE,
    DatabaseUrls,
    PoolLimits,
    create_engine,
)
from syncapi.server.postgres.failures import (
    down_as_unavailable,
    is_integrity_failure,
    is_lock_timeout,
    is_transient,
    locked,
    locked_as_unavailable,
    unavailable,
)
from syncapi.server.postgres.feed_identity import check_own, require_own
from syncapi.server.postgres.lanes import LOCK_SECONDS, Lanes

WRITE_ATTEMPTS = 6

CONTROL_SECONDS = 5.0
"""How long a statement in the control database may take: each one looks for a few rows at most,
and a request whose rights are not remembered waits for one."""

_FLUSH = text("SELECT feed.flush(:tenant)")
_BEGIN = text(
    "SELECT (SELECT feed_id FROM tenant_clock WHERE tenant_id = :tenant), "  # noqa: S608 - our own bound
    "set_config('syncapi.actor', :actor, true), "
    f"set_config('lock_timeout', '{LOCK_SECONDS * 1000:.0f}ms', true)"
)

Result = TypeVar("Result")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class TenantConnection:
    """A connection that serves one scope. Repositories take it, and nothing else.

    Attributes:
        confirm: reads what must be asked elsewhere. It is called before the tenant's clock is
            taken, since a transaction that holds the clock makes all other writers of the tenant
            wait.
    """

    scope: TenantScope
    connection: AsyncConnection
    driver: asyncpg.Connection
    confirm: Callable[[], Awaitable[None]] | None = None

    @property
    def tenant_id(self) -> UUID:
        return self.scope.tenant_id

    async def stamp(self) -> datetime | None:
        """Fire the feed's triggers and return the version that this transaction commits.

        The tenant's clock is held from here, so make it the last statement of the work.
        None if the transaction changed no document.
        """
        if self.confirm is not None:
            await self.confirm()
        found = await self.connection.execute(_FLUSH, {"tenant": self.tenant_id})
        return found.scalar_one()  # type: ignore[no-any-return]  # untyped SQL function


@dataclass(slots=True)
class _Pool:
    engine: AsyncEngine
    reader: AsyncEngine
    lanes: Lanes
    last_used: float
    in_use: int = 0


class Databases:
    """The pools of this process; an async context manager that closes them."""

    def __init__(self, urls: DatabaseUrls, limits: PoolLimits) -> None:
        self._urls = urls
        self._limits = limits
        self._pools: dict[str, _Pool] = {}
        self._reaper: asyncio.Task[None] | None = None
        seconds = min(CONTROL_SECONDS, limits.statement_timeout)
        self.control = create_engine(
            urls.control or urls.default, replace(limits, statement_timeout=seconds)
        )

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
        """A connection for work on several tenants, such as reading their heads.

        Raises:
            Unavailable: the database does not answer, or a lock is held.
        """
        with locked_as_unavailable():
            async with self._connection(name, autocommit=True) as (_, driver):
                yield driver

    async def check(self, name: str = DEFAULT_DATABASE) -> None:
        """Check that a database answers.

        Raises:
            Unavailable: it does not answer.
        """
        async with self.database(name) as driver:
            await driver.execute("SELECT 1")

    @asynccontextmanager
    async def reading(self, scope: TenantScope) -> AsyncIterator[TenantConnection]:
        """A connection for reads: each statement is a snapshot of its own.

        Raises:
            Unavailable: the database does not answer, or has not the tenant's own feed, or a
                lock is held.
        """
        with locked_as_unavailable():
            async with self._connection(scope.database, autocommit=True) as (connection, driver):
                await check_own(connection, driver, scope)
                yield TenantConnection(scope, connection, driver)

    @asynccontextmanager
    async def autocommitting(
        self, scope: TenantScope, *, until: float | None = None, is_held_up: bool = False
    ) -> AsyncIterator[TenantConnection]:
        """A connection whose every statement is a transaction, committed when it has returned.

        Args:
            scope: the tenant and user that it serves.
            until: when the work gives up waiting for a connection, by the monotonic clock; by
                default after the time that a statement may take.
            is_held_up: the work has met a lock before, and takes one of the few connections that
                are reserved for such work.

        Raises:
            Unavailable: the database does not answer or lacks the tenant's own feed, or no
                connection was free in time.
        """
        async with (
            self._place(scope, until, is_held_up=is_held_up),
            self._connection(scope.database, autocommit=True) as (connection, driver),
        ):
            await check_own(connection, driver, scope)
            yield TenantConnection(scope, connection, driver)

    async def writing(
        self,
        scope: TenantScope,
        work: Callable[[TenantConnection], Awaitable[Result]],
        *,
        until: float | None = None,
        is_held_up: bool = False,
        ask: Callable[[], Awaitable[None]] | None = None,
    ) -> Result:
        """Run `work` in a transaction and commit it before returning.

        The history names the scope's user as the author of what is written.

        `work` is run again after a serialisation failure, a deadlock, a constraint that a quicker
        transaction made it violate, or a lock that it could not get. So it must have no effect
        outside the transaction. No connection is held between two attempts. A connection that is
        lost during COMMIT is not retried: whether the COMMIT was carried out is not known.

        Args:
            scope: the tenant and user that it serves.
            work: what to do in the transaction.
            until: when it gives up waiting for locks; as in `autocommitting`.
            is_held_up: as in `autocommitting`.
            ask: reads what must be asked elsewhere, before each attempt takes a connection: a
                pooler may have no second connection for a task that holds one. It is called
                twice for each attempt, so it should remember its answer.

        Raises:
            Unavailable: the database does not answer or lacks the tenant's own feed, a lock is
                held, or every attempt failed.
        """
        until = until or time.monotonic() + self._limits.statement_timeout
        failures = 0
        while True:
            try:
                return await self.attempt(scope, work, until=until, is_held_up=is_held_up, ask=ask)
            except Exception as error:
                if not is_transient(error):
                    raise
                failure = error
            if is_lock_timeout(failure):
                is_held_up = True
                if time.monotonic() >= until:
                    raise locked() from failure
            else:
                failures += 1
                if failures == WRITE_ATTEMPTS and is_integrity_failure(failure):
                    raise failure
                if failures == WRITE_ATTEMPTS:
                    raise unavailable(scope.database) from failure
            log.debug("transaction_retried", failures=failures, database=scope.database)
            # The whole wait is random, so that two transactions that deadlocked do not meet again.
            await asyncio.sleep(backoff(failures + 1, first=0.02, jitter=1))

    async def attempt(
        self,
        scope: TenantScope,
        work: Callable[[TenantConnection], Awaitable[Result]],
        *,
        until: float | None = None,
        is_held_up: bool = False,
        ask: Callable[[], Awaitable[None]] | None = None,
    ) -> Result:
        """Do as `writing` does, but try once, and raise the error that it meets."""
        if ask is not None:
            await ask()
        async with self._place(scope, until, is_held_up=is_held_up):
            if ask is not None:  # again, since the wait for a place may have been long
                await ask()
            async with (
                self._connection(scope.database, autocommit=False) as (connection, driver),
                connection.begin(),
            ):
                # Also opens the transaction, so that work on the bare driver is inside it.
                values = {"tenant": scope.tenant_id, "actor": str(scope.user_id or "")}
                require_own(scope, (await connection.execute(_BEGIN, values)).one()[0])
                return await work(TenantConnection(scope, connection, driver))

    def _place(
        self, scope: TenantScope, until: float | None, *, is_held_up: bool
    ) -> AbstractAsyncContextManager[None]:
        until = until or time.monotonic() + self._limits.statement_timeout
        lanes = self._pool(scope.database).lanes
        return lanes.place(scope.tenant_id, until=until, is_held_up=is_held_up)

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
            lanes = Lanes(self._limits.size)
            pool = self._pools[name] = _Pool(engine, reader, lanes, time.monotonic())
        return pool

    async def _close_idle(self) -> None:
        while True:
            await asyncio.sleep(self._limits.idle / 2)
            horizon = time.monotonic() - self._limits.idle
            for name, pool in list(self._pools.items()):
                if pool.in_use == 0 and pool.last_used < horizon:
                    del self._pools[name]
                    await pool.engine.dispose()
