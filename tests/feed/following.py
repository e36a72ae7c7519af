"""A client that is led page by page, and the tenant that it follows, for raw SQL."""

from http import HTTPStatus
from uuid import UUID

import asyncpg
import httpx

from feed.raw_tenant import RawTenant
from soak import truth
from soak.replica import Disk, Progress
from soak.world import Member, World

PAGE = 2
MOST_BEGINNINGS = 10


class Client:
    """A replica that reads a page at a time."""

    def __init__(self, world: World, member: Member, start: Progress) -> None:
        self._world = world
        self._member = member
        self.disk = Disk(start, start)
        self.expired = 0

    async def ask(self, *, per_page: int = PAGE) -> httpx.Response:
        """Ask for the next page, and leave the copy alone."""
        query = {**self.disk.progress.query(), "per_page": per_page, "include_urls": "false"}
        return await self._world.request(self._member, "GET", "/documents/sync", params=query)

    async def turn_page(self, *, per_page: int = PAGE) -> None:
        """Pull and apply one page, or go back if the server says so."""
        answer = await self.ask(per_page=per_page)
        if answer.status_code == HTTPStatus.GONE:
            self.expired += 1
            self.disk = self.disk.expired()
            return
        assert answer.status_code == HTTPStatus.OK, answer.text
        self.disk = self.disk.with_page(answer.json()["data"])

    async def follow(self, *, per_page: int = PAGE) -> None:
        """Pull until two runs have ended: the second of them began here."""
        for _ in range(2):
            await self.turn_page(per_page=per_page)
            while self.disk.complete_to is None:
                assert self.expired < MOST_BEGINNINGS, "every new beginning is refused"
                await self.turn_page(per_page=per_page)

    async def equals_the_server(self, connection: asyncpg.Connection) -> bool:
        """Whether it holds what the database holds."""
        server = await truth.documents(connection, self._member.tenant_id)
        return dict(self.disk.documents) == server


async def client(world: World, start: Progress) -> Client:
    """A client of the world's first tenant that holds nothing."""
    return Client(world, await world.member(world.tenants[0]), start)


async def raw(connection: asyncpg.Connection, tenant: UUID) -> RawTenant:
    """A tenant of a world, for raw SQL."""
    file = await connection.fetchval("SELECT id FROM files WHERE tenant_id = $1 LIMIT 1", tenant)
    return RawTenant(tenant, file, connection)
