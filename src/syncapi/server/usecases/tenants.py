"""What an operator does with tenants and their members."""

import uuid
from collections.abc import Collection, Mapping
from contextlib import suppress
from uuid import UUID

from syncapi.server.domain.access import Role
from syncapi.server.domain.errors import Conflict, NotFound
from syncapi.server.domain.retention import checked_limit
from syncapi.server.domain.tenancy import Member, Tenant, checked_name, checked_slug, slug_of
from syncapi.server.postgres.control import ControlStore
from syncapi.server.postgres.databases import Databases
from syncapi.server.postgres.engines import DEFAULT_DATABASE
from syncapi.server.postgres.feed_identity import open_feed
from syncapi.server.postgres.unmigrated import unmigrated_as_unavailable
from syncapi.server.redis.invalidation import Change, Invalidations


class TenantAdministration:
    """Makes, suspends and lists tenants and their members."""

    def __init__(
        self, control: ControlStore, databases: Databases, invalidations: Invalidations
    ) -> None:
        self._control = control
        self._databases = databases
        self._invalidations = invalidations

    async def create(
        self, name: str, *, slug: str | None = None, database: str = DEFAULT_DATABASE
    ) -> Tenant:
        """Make a tenant in one of the tenant databases.

        Raises:
            InvalidInput: the name or the slug is not fit.
            Conflict: the slug is taken.
            Unavailable: a database is down, unknown or not migrated; nothing was made.
        """
        name = checked_name(name)
        slug = checked_slug(slug) if slug else slug_of(name)
        if await self._control.tenant_by_slug(slug) is not None:
            raise _make_slug_conflict(slug)
        # The feed is opened first: a crash then leaves a feed without a tenant, never a tenant
        # without a feed, and the repeat makes both anew.
        tenant_id, feed_id = uuid.uuid4(), uuid.uuid4()
        with unmigrated_as_unavailable(database):
            async with self._databases.database(database) as driver:
                await open_feed(driver, tenant_id, feed_id)
        tenant = await self._control.add_tenant(
            tenant_id, name=name, slug=slug, database=database, feed_id=feed_id
        )
        if tenant is None:
            raise _make_slug_conflict(slug)
        return tenant

    async def find(self, reference: str) -> Tenant:
        """The tenant with this id or slug.

        Raises:
            NotFound: there is none.
        """
        tenant = None
        with suppress(ValueError):
            tenant = await self._control.tenant(UUID(reference))
        tenant = tenant or await self._control.tenant_by_slug(reference)
        if tenant is None:
            raise NotFound(
                f"There is no tenant with the id or slug {reference!r}. "
                "`syncapi tenant list` shows them all."
            )
        return tenant

    async def all(self) -> list[Tenant]:
        """All tenants, by slug."""
        return await self._control.tenants()

    async def set_active(self, reference: str, *, is_active: bool) -> Tenant:
        """Suspend a tenant, so that to its members it does not exist; or resume it.

        Raises:
            NotFound: there is no such tenant.
        """
        tenant = await self.find(reference)
        changed = await self._control.set_active(tenant.id, is_active=is_active)
        await self._invalidations.publish(Change(tenant_id=tenant.id))
        return changed or tenant

    async def limit_history(
        self, reference: str, limits: Mapping[str, float | None], unset: Collection[str] = ()
    ) -> Tenant:
        """Give a tenant limits of its history in place of the service's, from the next `gc` on.

        Args:
            reference: the tenant's id or slug.
            limits: by name, see `domain.retention`; None for no limit.
            unset: names of those that shall be the service's again.

        Raises:
            InvalidInput: a limit is no positive number, or too large a one.
            NotFound: there is no such tenant.
        """
        for name, value in limits.items():
            checked_limit(name, value)
        tenant = await self.find(reference)
        changed = await self._control.change_settings(tenant.id, limits, unset)
        return changed or tenant

    async def members(self, reference: str) -> list[Member]:
        """The members of a tenant.

        Raises:
            NotFound: there is no such tenant.
        """
        return await self._control.members((await self.find(reference)).id)

    async def add_member(self, reference: str, user_id: UUID, role: Role) -> Tenant:
        """Give a user a role in a tenant, in place of the one they may have had.

        Raises:
            NotFound: there is no such tenant.
        """
        tenant = await self.find(reference)
        await self._control.put_member(tenant.id, user_id, role)
        await self._invalidations.publish(Change(tenant.id, user_id))
        return tenant

    async def remove_member(self, reference: str, user_id: UUID) -> Tenant:
        """Take a user out of a tenant.

        Raises:
            NotFound: there is no such tenant, or the user is no member of it.
        """
        tenant = await self.find(reference)
        if not await self._control.remove_member(tenant.id, user_id):
            raise NotFound(f"The user {user_id} is no member of '{tenant.slug}'.")
        await self._invalidations.publish(Change(tenant.id, user_id))
        return tenant


def _make_slug_conflict(slug: str) -> Conflict:
    return Conflict(f"The slug '{slug}' is taken by another tenant: give another one.")
