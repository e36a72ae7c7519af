"""Where the service is, its database, and the tenants and members that a run makes for itself."""

import random
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import httpx

from soak.session import session
from soak.transactions import Planner
from syncapi.domain.access import Role
from syncapi.identity.tokens import SecretIssuer, issue
from syncapi.postgres.control import ControlStore
from syncapi.postgres.databases import Databases, PoolLimits
from syncapi.redis.invalidation import Invalidations
from syncapi.settings import Settings
from syncapi.usecases.tenants import TenantAdministration
from syncapi.wiring import database_urls

_LIFETIME = 7 * 86_400
_FILES = 5


@dataclass(frozen=True, slots=True)
class Member:
    """An admin of a tenant, and the token."""

    tenant_id: UUID
    token: str


@dataclass(slots=True)
class World:
    """A running service and its one database, which belongs to the run alone.

    Attributes:
        url: of the service; changes when it is started anew elsewhere.
    """

    url: str
    settings: Settings
    http: httpx.AsyncClient
    tenants: list[UUID] = field(default_factory=list)

    @property
    def database_url(self) -> str:
        return self.settings.database_url.get_secret_value()

    async def member(self, tenant_id: UUID) -> Member:
        """A new admin of the tenant."""
        user_id = uuid4()
        async with Databases(database_urls(self.settings), PoolLimits(size=1)) as databases:
            administration = _administration(databases)
            await administration.add_member(str(tenant_id), user_id, Role.ADMIN)
        return Member(tenant_id, self._token(user_id))

    async def request(
        self,
        member: Member,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        **arguments: object,
    ) -> httpx.Response:
        """Speak as a member, below the tenant's path.

        Raises:
            httpx.TransportError: the service is not there.
        """
        authorised = {**(headers or {}), "Authorization": f"Bearer {member.token}"}
        url = f"{self.url}/api/tenants/{member.tenant_id}{path}"
        return await self.http.request(method, url, headers=authorised, **arguments)  # type: ignore[arg-type]  # passed through

    def _token(self, user_id: UUID) -> str:
        secret = self.settings.jwt_secret
        assert secret is not None
        issuer = SecretIssuer(
            self.settings.jwt_issuer, self.settings.jwt_audience, secret.get_secret_value()
        )
        return issue(issuer, user_id, lifetime=_LIFETIME)


async def open_world(
    url: str, settings: Settings, stack: AsyncExitStack, *, tenants: int
) -> World:
    """Make tenants on a migrated database, each with some files to refer to."""
    http = await stack.enter_async_context(
        httpx.AsyncClient(timeout=60, trust_env=False, limits=httpx.Limits(max_connections=200))
    )
    world = World(url, settings, http)
    async with Databases(database_urls(settings), PoolLimits(size=1)) as databases:
        administration = _administration(databases)
        for number in range(tenants):
            tenant = await administration.create(f"Soak {number} {uuid4()}")
            world.tenants.append(tenant.id)
    await _add_files(world)
    return world


async def _add_files(world: World) -> None:
    planner = Planner(random.Random(0), world.tenants, longest_pause=0)
    async with session(world.database_url) as connection:
        for tenant in world.tenants:
            for _ in range(_FILES):
                statement = planner.new_file(tenant)
                await connection.execute(statement.sql, *statement.values)


def _administration(databases: Databases) -> TenantAdministration:
    return TenantAdministration(ControlStore(databases.control), databases, Invalidations(None))
