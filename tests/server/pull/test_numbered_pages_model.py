"""Devices of one user page in any order, by number or by count, while positions get lost.

Over HTTP, with the real feed and the real Redis. Whatever happened, each device that goes on to
the end holds what the server holds; a 410 makes it begin again, and it then comes to the end.
"""

import asyncio
import secrets
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

import asyncpg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)
from redis.asyncio import Redis
from typing_extensions import override

from fixtures.following import Client, raw
from fixtures.raw_tenant import RawTenant
from fixtures.worlds import ServeDatabase
from soak import truth
from soak.replica import ByTime
from soak.session import session
from soak.world import open_world
from syncapi.server.redis.client import connect
from syncapi.server.settings import Settings

IDS = [UUID(int=n) for n in range(1, 13)]
DEVICES = 4
LAST_PAGE_OF_ALL = 150
"""Pages after which a device that has not come to an end is taken to go in circles."""

devices = st.integers(0, DEVICES - 1)
sizes = st.integers(1, 4)
documents = st.lists(st.sampled_from(IDS), min_size=1, max_size=6, unique=True)


@dataclass
class Ground:
    """Two processes of the service on one database, and a loop to speak to them from.

    Attributes:
        runner: everything asynchronous runs in its loop.
        urls: of the two processes.
    """

    runner: asyncio.Runner
    urls: Sequence[str]
    settings: Settings
    db: asyncpg.Connection
    redis: Redis


@pytest.fixture
def ground(
    create_migrated_database: Callable[[], str],
    serve_database: ServeDatabase,
    settings_of: Callable[[str], Settings],
) -> Iterator[Ground]:
    url = create_migrated_database()
    own = settings_of(url)
    assert own.redis_url is not None
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        urls = [serve_database(url) for _ in range(2)]
        db = runner.run(stack.enter_async_context(session(url)))
        redis = runner.run(stack.enter_async_context(connect(own.redis_url.get_secret_value())))
        yield Ground(runner, urls, own, db, redis)
        runner.run(stack.aclose())


class Paging(RuleBasedStateMachine):
    """Four devices: by number and by count, with `server_time` of the first or the last page."""

    ground: ClassVar[Ground]

    def run(self, work: Coroutine[Any, Any, object]) -> None:
        self.ground.runner.run(work)

    @initialize()
    def begin(self) -> None:
        self.stack = AsyncExitStack()
        self.run(self._begin())

    async def _begin(self) -> None:
        urls, own = self.ground.urls, self.ground.settings
        world = await open_world(urls, own, self.stack, tenants=1)
        member = await world.member(world.tenants[0])
        self.tenant: RawTenant = await raw(self.ground.db, world.tenants[0])
        await self.tenant.insert(*IDS[:8])
        self.devices = [
            Client(world, member, ByTime(takes_first, counts=counts))
            for counts in (False, True)
            for takes_first in (False, True)
        ]

    @rule(which=devices, size=sizes)
    def turn_page(self, which: int, size: int) -> None:
        self.run(self.devices[which].turn_page(per_page=size))

    @rule(which=devices, size=sizes)
    def turn_page_and_crash(self, which: int, size: int) -> None:
        """An answer that was never stored must come again."""
        device = self.devices[which]
        before = device.disk
        self.run(device.turn_page(per_page=size))
        device.disk = before

    @rule(which=devices)
    def begin_again(self, which: int) -> None:
        """Of its own accord, as after a 410, with what it holds."""
        self.devices[which].disk = self.devices[which].disk.expired()

    @rule(some=documents)
    def write(self, some: list[UUID]) -> None:
        """Make new versions, insert what is not there, bring back what was deleted."""
        self.run(self._write(some))

    async def _write(self, some: list[UUID]) -> None:
        insert = "INSERT INTO documents (tenant_id, id, filename, mime_type, file_id) "
        await self.ground.db.execute(
            f"{insert} SELECT $1, id, $2, 'text/plain', $3 FROM unnest($4::uuid[]) AS id "
            "ON CONFLICT (tenant_id, id) DO UPDATE "
            "SET filename = excluded.filename, is_deleted = false, deleted_at = NULL",
            *(self.tenant.id, secrets.token_hex(4), self.tenant.file_id, some),
        )

    @rule(some=documents)
    def delete(self, some: list[UUID]) -> None:
        self.run(self.tenant.update("is_deleted = true, deleted_at = now()", *some))

    @rule(some=documents)
    def erase(self, some: list[UUID]) -> None:
        self.run(self.tenant.delete(*some))

    @rule()
    def void(self) -> None:
        self.run(self.ground.db.execute("SELECT feed.void_cursors()"))

    @rule()
    def flush(self) -> None:
        self.run(self._flush())

    async def _flush(self) -> None:
        await self.ground.redis.flushdb()

    @override
    def teardown(self) -> None:
        if hasattr(self, "devices"):
            for device in self.devices:
                self.run(self._finish(device))
            self.run(self.stack.aclose())

    async def _finish(self, device: Client) -> None:
        end = (await truth.ends(self.ground.db)).get(self.tenant.id)
        for _ in range(LAST_PAGE_OF_ALL):
            if device.disk.complete_to == end:
                break
            await device.turn_page()
        assert device.disk.complete_to == end, "it goes in circles"
        server = await truth.documents(self.ground.db, self.tenant.id)
        assert list(truth.differences(device.disk.documents, server)) == []


def test_any_order_of_devices_and_losses(ground: Ground) -> None:
    run_state_machine_as_test(
        type("PagingHere", (Paging,), {"ground": ground}),
        settings=settings(
            max_examples=12,
            stateful_step_count=20,
            deadline=None,
            phases=(Phase.explicit, Phase.reuse, Phase.generate),  # to shrink takes minutes here
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
