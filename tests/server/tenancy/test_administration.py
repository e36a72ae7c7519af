"""What an operator does with tenants."""

import asyncio
import uuid
from collections.abc import Callable

import pytest
from sqlalchemy import text

from syncapi.server.domain.access import Role, operator
from syncapi.server.domain.errors import Conflict, InvalidInput, NotFound, Unavailable
from syncapi.server.domain.tenancy import Tenant
from syncapi.server.postgres.control import ControlStore
from syncapi.server.postgres.databases import Databases
from syncapi.server.postgres.engines import DatabaseUrls, PoolLimits
from syncapi.server.redis.invalidation import Invalidations
from syncapi.server.usecases.tenants import TenantAdministration


def unique() -> str:
    return f"tenant {uuid.uuid4().hex[:12]} ltd"


async def has_clock(databases: Databases, tenant: Tenant) -> bool:
    scope = operator(tenant.id, tenant.database, tenant.feed_id)
    async with databases.reading(scope) as reading:
        found = await reading.connection.execute(
            text("SELECT count(*) FROM tenant_clock WHERE tenant_id = :id"), {"id": tenant.id}
        )
        return bool(found.scalar_one())


async def test_a_new_tenant_is_active_and_its_clock_runs(
    administration: TenantAdministration, databases: Databases
) -> None:
    name = unique()
    tenant = await administration.create(name)
    assert (tenant.name, tenant.slug) == (name, name.replace(" ", "-"))
    assert tenant.is_active
    assert await has_clock(databases, tenant)
    assert tenant in await administration.all()


async def test_a_tenant_lives_where_it_was_told_to(
    control: ControlStore, database_url: str, create_migrated_database: Callable[[], str]
) -> None:
    urls = DatabaseUrls(database_url, named={"far": create_migrated_database()})
    async with Databases(urls, PoolLimits()) as databases:
        administration = TenantAdministration(control, databases, Invalidations(None))
        tenant = await administration.create(unique(), database="far")
        assert tenant.database == "far"
        assert await has_clock(databases, tenant)


async def test_a_slug_is_given_once_however_many_ask_at_once(
    administration: TenantAdministration,
) -> None:
    name = unique()
    answers = await asyncio.gather(
        *(administration.create(name) for _ in range(5)), return_exceptions=True
    )
    assert sorted(type(answer).__name__ for answer in answers) == ["Conflict"] * 4 + ["Tenant"]
    with pytest.raises(Conflict, match="taken"):
        await administration.create("another", slug=name.replace(" ", "-"))


async def test_a_tenant_without_a_database_is_not_made(
    administration: TenantAdministration,
    control: ControlStore,
    database_url: str,
    create_database: Callable[[], str],
) -> None:
    name = unique()
    with pytest.raises(Unavailable, match="SYNCAPI_TENANT_DATABASE_URLS"):
        await administration.create(name, database="unheard-of")
    urls = DatabaseUrls(database_url, named={"empty": create_database()})
    async with Databases(urls, PoolLimits()) as databases:
        hasty = TenantAdministration(control, databases, Invalidations(None))
        with pytest.raises(Unavailable, match="syncapi migrate"):
            await hasty.create(name, database="empty")
    assert await control.tenant_by_slug(name.replace(" ", "-")) is None


@pytest.mark.parametrize(("name", "slug"), [("", "x"), ("ok", "Not OK"), ("日本", None)])
async def test_bad_names_are_refused(
    administration: TenantAdministration, name: str, slug: str | None
) -> None:
    with pytest.raises(InvalidInput):
        await administration.create(name, slug=slug)


async def test_a_tenant_is_found_by_id_and_by_slug(administration: TenantAdministration) -> None:
    tenant = await administration.create(unique())
    assert await administration.find(str(tenant.id)) == tenant
    assert await administration.find(tenant.slug) == tenant
    for stranger in (str(uuid.uuid4()), "no-such-tenant", ""):
        with pytest.raises(NotFound, match="tenant list"):
            await administration.find(stranger)


async def test_suspending_and_resuming_are_repeatable(
    administration: TenantAdministration,
) -> None:
    tenant = await administration.create(unique())
    for is_active in (False, False, True, True):
        changed = await administration.set_active(tenant.slug, is_active=is_active)
        assert changed.is_active is is_active
        assert await administration.find(tenant.slug) == changed


async def test_only_a_member_can_be_removed(administration: TenantAdministration) -> None:
    tenant, user = await administration.create(unique()), uuid.uuid4()
    await administration.add_member(tenant.slug, user, Role.VIEWER)
    assert [member.role for member in await administration.members(tenant.slug)] == [Role.VIEWER]
    await administration.remove_member(tenant.slug, user)
    with pytest.raises(NotFound, match="no member"):
        await administration.remove_member(tenant.slug, user)
