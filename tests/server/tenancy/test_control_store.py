"""The control database: its tables, and how its absence is told."""

import uuid
from collections.abc import Callable

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from syncapi.server.domain.access import Role
from syncapi.server.domain.errors import Unavailable
from syncapi.server.postgres.control import ControlStore, metadata
from syncapi.server.postgres.databases import Databases
from syncapi.server.postgres.engines import PoolLimits, create_engine


def _differences(connection: Connection) -> list[object]:
    options = {"include_name": lambda name, kind, _: kind != "table" or name in metadata.tables}
    context = MigrationContext.configure(connection, opts={**options, "compare_type": True})
    return list(compare_metadata(context, metadata))


async def test_the_migration_makes_the_tables_that_the_code_knows(databases: Databases) -> None:
    async with databases.control.connect() as connection:
        assert await connection.run_sync(_differences) == []


FORBIDDEN_ROWS = {
    "a slug in capitals": "INSERT INTO tenants (name, slug) VALUES ('x', 'X')",
    "settings that are no object": (
        "INSERT INTO tenants (name, slug, settings) VALUES ('x', 'settings', '[]')"
    ),
    "a role that is none": (
        "WITH tenant AS (INSERT INTO tenants (name, slug) VALUES ('x', 'role') RETURNING id) "
        "INSERT INTO memberships (user_id, tenant_id, role) "
        "SELECT gen_random_uuid(), id, 'owner' FROM tenant"
    ),
    "a member of no tenant": (
        "INSERT INTO memberships (user_id, tenant_id, role) "
        "VALUES (gen_random_uuid(), gen_random_uuid(), 'user')"
    ),
}


@pytest.mark.parametrize("statement", FORBIDDEN_ROWS.values(), ids=FORBIDDEN_ROWS)
async def test_the_database_itself_refuses_nonsense(databases: Databases, statement: str) -> None:
    async with databases.control.connect() as connection:
        with pytest.raises(IntegrityError):
            await connection.execute(text(statement))


async def test_a_member_has_one_role_at_a_time(control: ControlStore) -> None:
    user, tenant_id = uuid.uuid4(), uuid.uuid4()
    feed_id, slug = uuid.uuid4(), f"t-{tenant_id.hex}"
    await control.add_tenant(tenant_id, name="x", slug=slug, database="far", feed_id=feed_id)
    assert await control.membership(user, tenant_id) is None
    for role in Role:
        await control.put_member(tenant_id, user, role)
        membership = await control.membership(user, tenant_id)
        assert membership is not None
        assert (membership.role, membership.database) == (role, "far")
        assert membership.feed_id == feed_id
    assert [member.user_id for member in await control.members(tenant_id)] == [user]
    assert await control.remove_member(tenant_id, user)
    assert not await control.remove_member(tenant_id, user)


async def test_a_database_that_is_not_there_is_unavailable() -> None:
    engine = create_engine("postgresql://nobody@127.0.0.1:1/none", PoolLimits())
    with pytest.raises(Unavailable) as refusal:
        await ControlStore(engine).tenants()
    assert refusal.value.retry_after


async def test_a_database_without_our_tables_needs_its_migrations(
    create_database: Callable[[], str],
) -> None:
    engine = create_engine(create_database(), PoolLimits())
    with pytest.raises(Unavailable, match="syncapi migrate"):
        await ControlStore(engine).tenants()
    await engine.dispose()
