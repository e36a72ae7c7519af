"""Pushes while PostgreSQL is restarted under them or Redis is away."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from pydantic import SecretStr

from fixtures.flaky import FlakyRelay
from fixtures.postgres_relay import PostgresRelay
from fixtures.pulling import Replica, problem_of
from fixtures.pushing import create, push, push_one, send, update
from fixtures.server import serving
from fixtures.service import TestTenant
from fixtures.until import until
from fixtures.uploads import upload
from soak.world import World, open_world
from syncapi.embedded import PostgresServer
from syncapi.server.main import create_app
from syncapi.server.postgres.migrations import Target, Tree, upgrade
from syncapi.server.settings import Settings

_IS_PUSHING = """
SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'syncapi'
               AND pg_backend_pid() = ANY(pg_blocking_pids(pid)))
"""
_ROWS = "SELECT count(*) FROM documents WHERE tenant_id = $1"


@dataclass(frozen=True, slots=True)
class Ground:
    """A service on a PostgreSQL that may be restarted, behind a relay that may hold answers."""

    server: PostgresServer
    relay: PostgresRelay
    client: httpx.AsyncClient
    world: World
    database_url: str

    @property
    def tenant_id(self) -> UUID:
        return self.world.tenants[0]

    async def connect(self) -> asyncpg.Connection:
        """Past the relay."""
        return await asyncpg.connect(self.database_url)

    async def rows(self) -> int:
        connection = await self.connect()
        try:
            return int(await connection.fetchval(_ROWS, self.tenant_id))
        finally:
            await connection.close()

    async def file_id(self) -> UUID:
        connection = await self.connect()
        query = "SELECT id FROM files WHERE tenant_id = $1 ORDER BY id LIMIT 1"
        found: UUID = await connection.fetchval(query, self.tenant_id)
        await connection.close()
        return found


async def _served(settings: Settings, stack: AsyncExitStack) -> str:
    """A service that is closed beside this loop, on which the relays to its servers run."""
    service = ExitStack()
    url = service.enter_context(serving(create_app(settings)))
    stack.push_async_callback(asyncio.to_thread, service.close)
    return url


@pytest.fixture
async def ground(tmp_path: Path, settings_of: Callable[[str], Settings]) -> AsyncIterator[Ground]:
    server = PostgresServer(tmp_path / "postgres")
    await asyncio.to_thread(server.start)
    try:
        url = server.create_database("own")
        for tree in Tree:
            await asyncio.to_thread(upgrade, Target(tree, "own", url))
        async with AsyncExitStack() as stack:
            relay, through = await stack.enter_async_context(PostgresRelay.to(url))
            service = await _served(settings_of(through), stack)
            world = await open_world([service], settings_of(url), stack, tenants=1)
            member = await world.member(world.tenants[0])
            client = httpx.AsyncClient(
                base_url=f"{service}/api/tenants/{world.tenants[0]}",
                headers={"Authorization": f"Bearer {member.token}"},
                timeout=60,
                limits=httpx.Limits(max_keepalive_connections=0),
            )
            await stack.enter_async_context(client)
            yield Ground(server, relay, client, world, url)
    finally:
        await asyncio.to_thread(server.kill)


@pytest.mark.parametrize("how", ["restart", "kill"])
async def test_postgres_restarted_in_the_middle_of_a_push(ground: Ground, how: str) -> None:
    file_id = await ground.file_id()
    first = create(file_id)
    await push(ground.client, first)
    changes = [create(file_id, filename=f"{n}.txt") for n in range(50)]
    blocker = await ground.connect()
    await blocker.execute("BEGIN")
    await blocker.execute(
        "SELECT FROM tenant_clock WHERE tenant_id = $1 FOR UPDATE", ground.tenant_id
    )
    pushes = [asyncio.create_task(send(ground.client, *changes[n::5])) for n in range(5)]

    async def is_held() -> bool:
        return bool(await blocker.fetchval(_IS_PUSHING))

    await until(is_held)
    await asyncio.to_thread(ground.server.kill if how == "kill" else ground.server.restart)
    refused = await asyncio.gather(*pushes)
    if how == "kill":
        for answer in refused:
            problem_of(answer, 503, "unavailable")
            assert int(answer.headers["Retry-After"]) > 0
        problem_of(await send(ground.client, *changes), 503, "unavailable")
        await asyncio.to_thread(ground.server.start)
    else:  # those that came later found it up again
        assert {answer.status_code for answer in refused} <= {200, 503}
        held = [answer for answer in refused if answer.status_code == 503]
        assert held  # any of them may have come first
        for answer in held:
            problem_of(answer, 503, "unavailable")
    blocker.terminate()
    assert await ground.rows() in ({1} if how == "kill" else set(range(1, 42, 10)))

    results = await push(ground.client, *changes)

    assert {result.status for result in results} <= {"applied", "unchanged"}
    assert await ground.rows() == 51
    replica = Replica(ground.client)
    await replica.pull_run()
    assert {UUID(change["id"]) for change in [first, *changes]} == set(replica.documents)
    again = await push(ground.client, *changes)
    assert {result.status for result in again} == {"unchanged"}
    assert [result.document for result in again] == [result.document for result in results]


async def test_postgres_killed_after_the_commit_and_before_its_answer(ground: Ground) -> None:
    """The service cannot know; a repeat is told what was stored, and changes nothing."""
    file_id = await ground.file_id()
    await push(ground.client, create(file_id))
    changes = [create(file_id, filename=f"{n}.txt") for n in range(10)]
    losing = asyncio.create_task(send(ground.client, *changes))
    for _ in range(60):  # hold back one answer after the other, until it is the commit's
        ground.relay.hold_answers()
        await ground.relay.answer_is_held()
        if await ground.rows() == 11:
            break
        ground.relay.release()
    assert await ground.rows() == 11
    await asyncio.to_thread(ground.server.kill)
    await ground.relay.cut()
    problem_of(await losing, 503, "unavailable")
    await asyncio.to_thread(ground.server.start)
    await ground.relay.restore()

    results = await push(ground.client, *changes)

    assert {result.status for result in results} == {"unchanged"}
    assert [str(result.id) for result in results] == [change["id"] for change in changes]
    assert await ground.rows() == 11


@pytest.mark.parametrize("how", ["cut", "frozen"])
async def test_pushes_go_on_without_redis(
    settings: Settings, tenant: TestTenant, how: str
) -> None:
    """It goes while pushes are under way, and comes back."""
    file_id = UUID((await upload(tenant.user))["file"]["id"])
    assert settings.redis_url is not None
    async with FlakyRelay.to(settings.redis_url.get_secret_value()) as (relay, through):
        changed = settings.model_copy(update={"redis_url": SecretStr(through)})
        with serving(create_app(changed)) as url:
            async with httpx.AsyncClient(
                base_url=f"{url}/api/tenants/{tenant.id}",
                headers={"Authorization": tenant.user.headers["Authorization"]},
                timeout=60,
                limits=httpx.Limits(max_keepalive_connections=0),
            ) as client:
                await push_one(client, create(file_id))
                is_gone = asyncio.Event()

                async def writer(number: int) -> int:
                    """Creates and renames, before, amid and after; the number of pushes."""
                    done = after = 0
                    while after < 5:
                        made = await push_one(client, create(file_id, filename=f"{number}.txt"))
                        assert made.status == "applied"
                        assert made.document is not None
                        version = made.document.model_dump(mode="json")["updated_at"]
                        name = f"{uuid4()}.txt"
                        renamed = await push_one(client, update(made.id, version, filename=name))
                        assert renamed.status == "applied"
                        done += 2
                        after += is_gone.is_set()
                        if done == 6 and number == 0:
                            await relay.cut() if how == "cut" else relay.freeze()
                            is_gone.set()
                    return done

                counts = await asyncio.gather(*map(writer, range(4)))
                assert min(counts) >= 10
                await relay.restore()
                assert (await push_one(client, create(file_id))).status == "applied"
    replica = Replica(tenant.viewer)
    await replica.pull_run()
    assert len(replica.documents) == 3 + sum(counts) // 2
