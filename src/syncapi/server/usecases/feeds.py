"""What an operator does with feeds: open, adopt and void them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from syncapi.server.domain.access import operator
from syncapi.server.domain.errors import Conflict, Refusal
from syncapi.server.domain.tenancy import Tenant
from syncapi.server.postgres.control import ControlStore
from syncapi.server.postgres.databases import Databases
from syncapi.server.postgres.feed import void_feed
from syncapi.server.postgres.feed_identity import find_feed, open_feed
from syncapi.server.postgres.unmigrated import unmigrated_as_unavailable
from syncapi.server.redis.invalidation import Change, Invalidations
from syncapi.server.usecases.tenants import TenantAdministration


@dataclass(frozen=True, slots=True)
class Voided:
    """The result of a void for one tenant's feed.

    Attributes:
        server_time: the feed's time from now on; all earlier positions are void.
        mended: how many documents differed between the feed and their rows.
        error: None if it did not fail.
    """

    tenant: Tenant
    server_time: datetime | None = None
    mended: int = 0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Unadopted:
    """A tenant whose own feed is not known, and why."""

    tenant: Tenant
    why: str


class FeedAdministration:
    """Opens, adopts and voids the feeds of tenants."""

    def __init__(
        self, control: ControlStore, databases: Databases, invalidations: Invalidations
    ) -> None:
        self._control = control
        self._databases = databases
        self._invalidations = invalidations
        self._tenants = TenantAdministration(control, databases, invalidations)

    async def open(self, reference: str, *, empty: bool = False) -> Tenant:
        """Make the feed in the database that a tenant's row names the tenant's own.

        Args:
            reference: the tenant's id or slug.
            empty: open an empty feed where that database has none.

        Raises:
            NotFound: there is no such tenant.
            Conflict: the database has no feed of the tenant, and none shall be opened.
            Unavailable: the database is down, unknown or not migrated.
        """
        tenant = await self._tenants.find(reference)
        feed_id = await self._feed_in(tenant.database, tenant.id)
        if feed_id is None and not empty:
            raise Conflict(
                f"The database '{tenant.database}' has no feed of '{tenant.slug}': check that the "
                "tenant's row names the right database and that its URL is right. If the tenant "
                "shall begin there with nothing, give --empty."
            )
        if feed_id is None:
            async with self._databases.database(tenant.database) as driver:
                feed_id = await open_feed(driver, tenant.id, uuid4())
        return await self._adopt(tenant, feed_id)

    async def adopt(self, databases: Iterable[str], *, is_dry: bool = False) -> list[Unadopted]:
        """Give each tenant without a known feed the feed in its database, if no other has one.

        Args:
            databases: the names of all tenant databases.
            is_dry: change nothing, and return all tenants without a known feed.

        Returns:
            The tenants that still have none: it is not in the database that their rows name, or it
            is in several.
        """
        left = []
        for tenant in await self._control.tenants():
            if tenant.feed_id is not None:
                continue
            why = "is not known yet" if is_dry else await self._adopt_only(tenant, databases)
            if why is not None:
                left.append(Unadopted(tenant, why))
        return left

    async def void(
        self,
        finished: Callable[[Voided], None],
        *,
        reference: str | None = None,
        database: str | None = None,
    ) -> list[Voided]:
        """Compare feeds with their documents, and make every client synchronise anew.

        Each tenant has a transaction of its own; one that fails does not stop the others.

        Args:
            finished: called after each tenant.
            reference: one tenant alone, by its id or slug.
            database: the tenants of one database alone.

        Raises:
            NotFound: there is no such tenant.
        """
        tenants = await self._control.tenants()
        if reference is not None:
            tenants = [await self._tenants.find(reference)]
        outcomes = []
        for tenant in tenants:
            if database in (None, tenant.database):
                outcomes.append(await self._void(tenant))
                finished(outcomes[-1])
        return outcomes

    async def _void(self, tenant: Tenant) -> Voided:
        scope = operator(tenant.id, tenant.database, tenant.feed_id)
        try:
            server_time, mended = await self._databases.writing(scope, void_feed)
        except Refusal as refusal:
            return Voided(tenant, error=refusal.detail)
        await self._control.forget_collection(tenant.id)
        return Voided(tenant, server_time, mended)

    async def _adopt_only(self, tenant: Tenant, databases: Iterable[str]) -> str | None:
        try:
            found: Mapping[str, UUID | None] = {
                name: await self._feed_in(name, tenant.id)
                for name in {tenant.database, *databases}
            }
        except Refusal as refusal:
            return refusal.detail
        homes = sorted(name for name, feed_id in found.items() if feed_id is not None)
        feed_id = found[tenant.database]
        if feed_id is None or len(homes) > 1:
            where = ", ".join(homes) or "none"
            return f"is not known: its row names '{tenant.database}', feeds of it are in: {where}"
        await self._adopt(tenant, feed_id)
        return None

    async def _adopt(self, tenant: Tenant, feed_id: UUID) -> Tenant:
        changed = await self._control.set_feed(tenant.id, feed_id)
        await self._control.forget_collection(tenant.id)
        await self._invalidations.publish(Change(tenant_id=tenant.id))
        return changed or tenant

    async def _feed_in(self, database: str, tenant_id: UUID) -> UUID | None:
        with unmigrated_as_unavailable(database):
            async with self._databases.database(database) as driver:
                return await find_feed(driver, tenant_id)
