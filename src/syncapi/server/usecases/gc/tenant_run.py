"""A tenant's turn in a run of the garbage collection."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from syncapi.server.domain.access import TenantScope, operator
from syncapi.server.domain.errors import Conflict
from syncapi.server.domain.retention import Collected, Garbage, Retention
from syncapi.server.domain.tenancy import Tenant
from syncapi.server.postgres.control import ControlStore
from syncapi.server.postgres.databases import Databases, TenantConnection
from syncapi.server.postgres.feed_identity import FeedPlace, find_feed, has_gone_on, require_own
from syncapi.server.storage.s3 import ObjectStore

Result = TypeVar("Result")

Progress = Callable[[Tenant, Collected], None]
"""Called after every batch, with what was collected of the tenant so far."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What every step works with.

    Attributes:
        is_dry: whether to count only, and change nothing.
        batch: how many rows or objects are deleted at a time.
        is_cautious: whether to keep bytes to which an older history may refer. False at a tenant's
            first collection, and the first one after an operator opened or voided the feed.
        start: how far the feed was when the turn began; None until that is known, and in a dry
            run.
    """

    control: ControlStore
    databases: Databases
    objects: ObjectStore
    tenant: Tenant
    retention: Retention
    progress: Progress
    is_dry: bool
    batch: int
    collected: Collected = field(default_factory=Collected)
    is_cautious: bool = True
    start: FeedPlace | None = None

    @property
    def scope(self) -> TenantScope:
        return operator(self.tenant.id, self.tenant.database, self.tenant.feed_id)

    @property
    def prefix(self) -> str:
        """The beginning of all the tenant's keys in the bucket."""
        return f"{self.tenant.id}/"

    def note(self, kind: Garbage, count: int, freed_bytes: int = 0) -> None:
        self.collected.add(kind, count, freed_bytes)
        self.progress(self.tenant, self.collected)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[TenantConnection]:
        """A connection to one snapshot of the tenant's database.

        Raises:
            Conflict: as `writing` says.
        """
        await self._require_tenant()
        async with (
            self.databases.reading(self.scope) as connection,
            connection.driver.transaction(isolation="repeatable_read", readonly=True),
        ):
            await self._require_feed(connection)
            yield connection

    async def writing(self, work: Callable[[TenantConnection], Awaitable[Result]]) -> Result:
        """Run `work` in a transaction, as `Databases.writing` does.

        Raises:
            Conflict: the tenant was suspended or moved, or its database was set back. What another
                database does not know must not be deleted.
        """

        async def in_own_feed(tx: TenantConnection) -> Result:
            await self._require_feed(tx)
            return await work(tx)

        await self._require_tenant()
        return await self.databases.writing(self.scope, in_own_feed)

    async def _require_tenant(self) -> None:
        tenant, now = self.tenant, await self.control.tenant(self.tenant.id)
        there = (tenant.database, tenant.feed_id)
        if now is None or not now.is_active or (now.database, now.feed_id) != there:
            raise Conflict(
                "The tenant was moved or suspended while its garbage was collected. The rest was "
                "left to the next `syncapi gc`."
            )

    async def _require_feed(self, connection: TenantConnection) -> None:
        driver, tenant = connection.driver, self.tenant
        require_own(self.scope, await find_feed(driver, tenant.id))
        if self.start is not None and not await has_gone_on(driver, tenant.id, self.start):
            raise Conflict(
                f"The database '{tenant.database}' was started, voided or set back while the "
                "tenant's garbage was collected. The rest was left to the next `syncapi gc`."
            )
