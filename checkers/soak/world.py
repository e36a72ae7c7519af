"""Where the service is, its database, and the tenants and members that a run makes for itself."""

import random
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import httpx

from soak.exchanges import Exchanges
from soak.session import session
from soak.transactions import Planner
from syncapi.server.domain.access import Role
from syncapi.server.factories import database_urls
from syncapi.server.identity.tokens import SecretIssuer, issue
from syncapi.server.postgres.control import ControlStore
from syncapi.server.postgres.databases import Databases
from syncapi.server.postgres.engines import PoolLimits
from syncapi.server.redis.invalidation import Invalidations
from syncapi.server.settings import Settings
from syncapi.server.usecases.tenants import TenantAdministration

_LIFETIME = 7 * 86_400
_FILES = 5


@dataclass(frozen=True, slots=True)
class Member:
    """A device of an admin of a tenant.

    Attributes:
        exchanges: the device's last requests, for the evidence.
    """

    tenant_id: UUID
    token: str
    exchanges: Exchanges = field(default_factory=Exchanges)

    def on_another_device(self) -> "Member":
        """The same user, with requests of its own."""
        return Member(self.tenant_id, self.token)


@dataclass(slots=True)
class World:
    """A running service and its one database, which belongs to the run alone.

    Attributes:
        urls: of the service's processes, to which requests go in turn; they change when one is
            started anew elsewhere.
        files: ids of contents, by tenant.
    """

    urls: list[str]
    settings: Settings
    http: httpx.AsyncClient
    tenants: list[UUID] = field(default_factory=list)
    files: dict[UUID, list[str]] = field(default_factory=dict)
    _turn: int = 0

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
        url, authorisation = self.way_of(member, path)
        authorised = {**(headers or {}), **authorisation}
        try:
            answer = await self.http.request(method, url, headers=authorised, **arguments)  # type: ignore[arg-type]  # passed through
        except httpx.TransportError as error:
            member.exchanges.failed(method, path, arguments, error)
            raise
        member.exchanges.answered(method, path, arguments, answer)
        return answer

    def way_of(self, member: Member, path: str) -> tuple[str, dict[str, str]]:
        """The URL and the headers of a request, for the process whose turn it is."""
        self._turn += 1
        url = self.urls[self._turn % len(self.urls)]
        headers = {"Authorization": f"Bearer {member.token}"}
        return f"{url}/api/tenants/{member.tenant_id}{path}", headers

    def _token(self, user_id: UUID) -> str:
        secret = self.settings.jwt_secret
        assert secret is not None
        issuer = SecretIssuer(
            self.settings.jwt_issuer, self.settings.jwt_audience, secret.get_secret_value()
        )
        return issue(issuer, user_id, lifetime=_LIFETIME)


async def open_world(
    urls: Sequence[str], settings: Settings, stack: AsyncExitStack, *, tenants: int
) -> World:
    """Make tenants on a migrated database, each with some files to refer to."""
    http = await stack.enter_async_context(
        httpx.AsyncClient(timeout=60, trust_env=False, limits=httpx.Limits(max_connections=200))
    )
    world = World(list(urls), settings, http)
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
            query = "SELECT id::text FROM files WHERE tenant_id = $1 ORDER BY id"
            world.files[tenant] = [row[0] for row in await connection.fetch(query, tenant)]


def _administration(databases: Databases) -> TenantAdministration:
    return TenantAdministration(ControlStore(databases.control), databases, Invalidations(None))
