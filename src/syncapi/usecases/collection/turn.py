"""A tenant's turn in a run of the garbage collection."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from syncapi.domain.access import TenantScope, operator
from syncapi.domain.retention import Collected, Kind, Retention
from syncapi.domain.tenancy import Tenant
from syncapi.postgres.databases import Databases, TenantConnection
from syncapi.postgres.feed_identity import find_feed, require_own
from syncapi.storage.s3 import ObjectStore

Result = TypeVar("Result")

Progress = Callable[[Tenant, Collected], None]
"""Called after every batch, with what the tenant has come to so far."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What every step works with.

    Attributes:
        is_dry: count, and change nothing.
        batch: rows or objects at a time.
        is_cautious: keep bytes that a history which was left may refer to. False where an operator
            has said that the feed is the tenant's, and at a tenant's first collection.
    """

    databases: Databases
    objects: ObjectStore
    tenant: Tenant
    retention: Retention
    progress: Progress
    is_dry: bool
    batch: int
    collected: Collected = field(default_factory=Collected)
    is_cautious: bool = True

    @property
    def scope(self) -> TenantScope:
        return operator(self.tenant.id, self.tenant.database, self.tenant.feed_id)

    @property
    def prefix(self) -> str:
        """Of all the tenant's keys in the bucket."""
        return f"{self.tenant.id}/"

    def note(self, kind: Kind, count: int, freed_bytes: int = 0) -> None:
        self.collected.add(kind, count, freed_bytes)
        self.progress(self.tenant, self.collected)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[TenantConnection]:
        async with self.databases.reading(self.scope) as connection:
            # Each time anew: of what another feed does not know, nothing may be deleted.
            require_own(self.scope, await find_feed(connection.driver, self.tenant.id))
            yield connection

    async def writing(self, work: Callable[[TenantConnection], Awaitable[Result]]) -> Result:
        return await self.databases.writing(self.scope, work)
