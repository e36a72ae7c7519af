"""The control database: tenants, and the roles that users have in them."""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    DateTime,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Row,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    cast,
    delete,
    func,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from syncapi.server.domain.access import Membership, Role
from syncapi.server.domain.tenancy import Member, Tenant
from syncapi.server.postgres.failures import down_as_unavailable, locked_as_unavailable
from syncapi.server.postgres.feed_identity import FeedPlace
from syncapi.server.postgres.tables import NAMING_CONVENTION
from syncapi.server.postgres.unmigrated import unmigrated_as_unavailable

metadata = MetaData(naming_convention=NAMING_CONVENTION)

tenants = Table(
    "tenants",
    metadata,
    Column("id", Uuid, nullable=False, server_default=func.gen_random_uuid()),
    Column("name", String(200), nullable=False),
    Column("slug", String(63), nullable=False),
    Column(
        "database",
        String(63),
        nullable=False,
        server_default=text("'default'"),
        comment="Name of the tenant database that holds the tenant; the settings say where it is.",
    ),
    Column("is_active", Boolean, nullable=False, server_default=text("true")),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("settings", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    Column(
        "feed_id",
        Uuid,
        comment="The feed that is the tenant's: no database whose clock has another one is used.",
    ),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("slug"),
    CheckConstraint("slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'", name="slug"),
    CheckConstraint("jsonb_typeof(settings) = 'object'", name="settings"),
)

memberships = Table(
    "memberships",
    metadata,
    Column("user_id", Uuid, nullable=False),
    Column("tenant_id", Uuid, nullable=False),
    Column("role", String(20), nullable=False),
    PrimaryKeyConstraint("user_id", "tenant_id"),
    ForeignKeyConstraint(["tenant_id"], ["tenants.id"]),
    CheckConstraint("role IN ('admin', 'user', 'viewer')", name="role"),
    Index("memberships_tenant_id_idx", "tenant_id"),
)

# Where a tenant's feed was when its garbage was collected last.
collections = Table(
    "collections",
    metadata,
    Column("tenant_id", Uuid, nullable=False),
    Column("lineage", LargeBinary, nullable=False),
    Column("head", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("tenant_id"),
    ForeignKeyConstraint(["tenant_id"], ["tenants.id"], ondelete="CASCADE"),
)


class ControlStore:
    """What the control database knows. Every method is one statement, committed by itself.

    All of them raise `Unavailable` where the control database does not answer.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")

    async def membership(self, user_id: UUID, tenant_id: UUID) -> Membership | None:
        """The role of a user in a tenant, active or not; None for a stranger."""
        query = (
            select(memberships.c.role, tenants.c.database, tenants.c.feed_id, tenants.c.is_active)
            .join_from(memberships, tenants)
            .where(memberships.c.user_id == user_id, memberships.c.tenant_id == tenant_id)
        )
        async with self._connection() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            return None
        return Membership(
            tenant_id, user_id, Role(row.role), row.database, row.feed_id, row.is_active
        )

    async def tenant(self, tenant_id: UUID) -> Tenant | None:
        """The tenant with this id."""
        return await self._tenant_where(tenants.c.id == tenant_id)

    async def tenant_by_slug(self, slug: str) -> Tenant | None:
        """The tenant with this slug."""
        return await self._tenant_where(tenants.c.slug == slug)

    async def tenants(self) -> list[Tenant]:
        """All tenants, by slug."""
        async with self._connection() as connection:
            rows = await connection.execute(select(tenants).order_by(tenants.c.slug))
            return [_tenant(row) for row in rows]

    async def add_tenant(
        self, tenant_id: UUID, *, name: str, slug: str, database: str, feed_id: UUID
    ) -> Tenant | None:
        """The new tenant; None where the slug is taken."""
        statement = (
            upsert(tenants)
            .values(id=tenant_id, name=name, slug=slug, database=database, feed_id=feed_id)
            .on_conflict_do_nothing(index_elements=[tenants.c.slug])
            .returning(*tenants.c)
        )
        async with self._connection() as connection:
            row = (await connection.execute(statement)).one_or_none()
        return None if row is None else _tenant(row)

    async def set_active(self, tenant_id: UUID, *, is_active: bool) -> Tenant | None:
        """Suspend or resume a tenant; None where there is no such tenant."""
        return await self._change(tenant_id, is_active=is_active)

    async def set_feed(self, tenant_id: UUID, feed_id: UUID) -> Tenant | None:
        """Say which feed is the tenant's; None where there is no such tenant."""
        return await self._change(tenant_id, feed_id=feed_id)

    async def change_settings(
        self, tenant_id: UUID, values: Mapping[str, object], unset: Collection[str]
    ) -> Tenant | None:
        """Put some of a tenant's settings, and take others out; None where there is no tenant.

        Those that are not named stay as they are.
        """
        left = tenants.c.settings.op("-")(cast(list(unset), ARRAY(Text)))
        return await self._change(tenant_id, settings=left.op("||")(cast(dict(values), JSONB)))

    async def members(self, tenant_id: UUID) -> list[Member]:
        """The tenant's members, by user."""
        query = (
            select(memberships.c.user_id, memberships.c.role)
            .where(memberships.c.tenant_id == tenant_id)
            .order_by(memberships.c.user_id)
        )
        async with self._connection() as connection:
            rows = await connection.execute(query)
            return [Member(row.user_id, Role(row.role)) for row in rows]

    async def put_member(self, tenant_id: UUID, user_id: UUID, role: Role) -> None:
        """Give a user a role in a tenant that exists, in place of any other role."""
        statement = upsert(memberships).values(
            user_id=user_id, tenant_id=tenant_id, role=role.value
        )
        statement = statement.on_conflict_do_update(
            index_elements=[memberships.c.user_id, memberships.c.tenant_id],
            set_={"role": statement.excluded.role},
        )
        async with self._connection() as connection:
            await connection.execute(statement)

    async def remove_member(self, tenant_id: UUID, user_id: UUID) -> bool:
        """Take a user out of a tenant; False where the user was no member."""
        statement = delete(memberships).where(
            memberships.c.user_id == user_id, memberships.c.tenant_id == tenant_id
        )
        async with self._connection() as connection:
            return (await connection.execute(statement)).rowcount > 0

    async def collected_at(self, tenant_id: UUID) -> FeedPlace | None:
        """Where the tenant's feed was at its last collection; None before the first one."""
        query = select(collections.c.lineage, collections.c.head).where(
            collections.c.tenant_id == tenant_id
        )
        async with self._connection() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else FeedPlace(row.lineage, row.head)

    async def note_collection(self, tenant_id: UUID, place: FeedPlace) -> None:
        """Note where the tenant's feed is at a collection."""
        values = {"lineage": place.lineage, "head": place.head}
        statement = upsert(collections).values(tenant_id=tenant_id, **values)
        statement = statement.on_conflict_do_update(
            index_elements=[collections.c.tenant_id], set_=values
        )
        async with self._connection() as connection:
            await connection.execute(statement)

    async def forget_collection(self, tenant_id: UUID) -> None:
        """Whatever feed the next collection finds, it is the tenant's."""
        statement = delete(collections).where(collections.c.tenant_id == tenant_id)
        async with self._connection() as connection:
            await connection.execute(statement)

    async def _change(self, tenant_id: UUID, **values: object) -> Tenant | None:
        statement = (
            update(tenants).where(tenants.c.id == tenant_id).values(**values).returning(*tenants.c)
        )
        async with self._connection() as connection:
            row = (await connection.execute(statement)).one_or_none()
        return None if row is None else _tenant(row)

    async def _tenant_where(self, condition: ColumnElement[bool]) -> Tenant | None:
        async with self._connection() as connection:
            row = (await connection.execute(select(tenants).where(condition))).one_or_none()
        return None if row is None else _tenant(row)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection]:
        with (
            down_as_unavailable("control"),
            locked_as_unavailable(),
            unmigrated_as_unavailable("control"),
        ):
            async with self._engine.connect() as connection:
                yield connection


def _tenant(row: Row[Any]) -> Tenant:
    return Tenant(**row._asdict())
