"""Numbered pages while what the server keeps of them gets lost, and other devices go on.

In each of these cases a device was once led on from where another device stood, or into a refusal
on every new beginning. Now it holds everything at the end, or begins again, once.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack
from itertools import pairwise
from uuid import UUID, uuid4

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis
from typing_extensions import override

from fixtures.flaky import FlakyRelay
from fixtures.following import PAGE, Client, raw
from fixtures.raw_tenant import RawTenant
from fixtures.server import serving
from fixtures.service import TestTenant
from fixtures.until import until
from fixtures.uploads import assert_problem
from fixtures.worlds import MakeWorld
from fixtures.writing import MakeWriter
from soak.replica import ByCursor, ByTime, Progress
from soak.session import session
from soak.world import Member, World
from syncapi.server.domain.access import TenantScope
from syncapi.server.domain.cursor import CursorCodec
from syncapi.server.main import create_app
from syncapi.server.postgres.databases import Databases
from syncapi.server.postgres.feed import Heads
from syncapi.server.redis.client import connect
from syncapi.server.redis.page_positions import PagePositions
from syncapi.server.settings import Settings
from syncapi.server.storage.bucket import Bucket
from syncapi.server.storage.signing import UrlSigner
from syncapi.server.usecases.pull import Page, Pull, PullRequest

IDS = sorted(uuid4() for _ in range(14))


@pytest.fixture
async def redis(settings: Settings) -> AsyncIterator[Redis]:
    assert settings.redis_url is not None
    async with connect(settings.redis_url.get_secret_value()) as redis:
        yield redis


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    return await make_world(1)


class Scene:
    """Devices of one user, and what is done to their server."""

    def __init__(self, world: World, member: Member, redis: Redis, tenant: RawTenant) -> None:
        self.world = world
        self.redis = redis
        self.tenant = tenant
        self._member = member

    def device(self, *, takes_first: bool = False, by: Progress | None = None) -> Client:
        return Client(self.world, self._member, by or ByTime(takes_first))

    async def equals_the_server(self, device: Client) -> bool:
        return await device.equals_the_server(self.tenant.db)

    async def kept(self) -> bytes:
        """What Redis holds of the user's pages, as it would stand in its file."""
        dump = await self.redis.dump(await self._key())
        assert dump is not None
        return dump

    async def restart_without_the_last_writes(self, kept: bytes) -> None:
        await self.redis.restore(await self._key(), 0, kept, replace=True)

    async def void(self) -> None:
        await self.tenant.db.execute("SELECT feed.void_cursors()")

    async def flush(self) -> None:
        await self.redis.flushdb()

    async def evict(self) -> None:
        await self.redis.delete(await self._key())

    async def let_an_hour_pass(self) -> None:
        await self.redis.expire(await self._key(), 0)

    async def _key(self) -> str:
        (key,) = [key async for key in self.redis.scan_iter(f"*:pages:{self.tenant.id}:*")]
        return str(key.decode())


@pytest.fixture
async def scene(world: World, redis: Redis) -> AsyncIterator[Scene]:
    member = await world.member(world.tenants[0])
    async with session(world.database_url) as db:
        tenant = await raw(db, world.tenants[0])
        await tenant.insert(*IDS)
        yield Scene(world, member, redis, tenant)


async def turn_page_at_last(device: Client) -> None:
    """As a client does that repeats what is answered 503."""

    async def is_served() -> bool:
        return (await device.ask()).status_code != 503

    await until(is_served)
    await device.turn_page()


@pytest.mark.parametrize("takes_first", [False, True])
@pytest.mark.parametrize(
    "lose",
    [Scene.void, Scene.flush, Scene.evict, Scene.let_an_hour_pass],
    ids=lambda f: f.__name__,
)
async def test_another_device_reads_on_after_the_positions_are_lost(
    scene: Scene, lose: Callable[[Scene], Awaitable[None]], *, takes_first: bool
) -> None:
    """What the first one has read moves to the end, and the other gets further than it was."""
    device, other = scene.device(takes_first=takes_first), scene.device()
    for _ in range(3):
        await device.turn_page()
    assert set(device.disk.documents) == set(IDS[:6])
    await lose(scene)
    await scene.tenant.update("filename = 'moved.txt'", *IDS[:6])
    for _ in range(5):
        await other.turn_page()
    await device.follow()
    await other.follow()
    assert (device.expired, other.expired) == (1, 0)
    assert await scene.equals_the_server(device)
    assert await scene.equals_the_server(other)


async def test_redis_restarts_without_the_last_writes(scene: Scene) -> None:
    """The number of the last page is lost, and another device reads further on."""
    device, other = scene.device(), scene.device()
    for _ in range(2):
        await device.turn_page()
    kept = await scene.kept()
    await device.turn_page()
    await scene.restart_without_the_last_writes(kept)
    await scene.tenant.update("filename = 'moved.txt'", *IDS[:6])
    for _ in range(5):
        await other.turn_page()
    await turn_page_at_last(device)  # a slow Redis may not have been asked when it was drawn
    await device.follow()
    assert device.expired == 1
    assert await scene.equals_the_server(device)


async def test_redis_forgets_between_any_two_pages(scene: Scene) -> None:
    """The number that is asked for is read before it goes, and the next one leads on."""
    device = scene.device()
    await device.turn_page()
    for _ in range(3):
        await scene.evict()
        await device.turn_page()
        await device.turn_page()
        await device.turn_page()
    assert device.expired == 3
    await device.follow()
    assert await scene.equals_the_server(device)


async def test_positions_of_a_key_that_is_rotated_out(
    scene: Scene, settings_of: Callable[[str], Settings]
) -> None:
    before, device = scene.device(), scene.device()
    for _ in range(2):
        await before.turn_page()
    rotated = settings_of(scene.world.database_url).model_copy(
        update={"cursor_key": SecretStr("another key of thirty-two letters")}
    )
    with serving(create_app(rotated)) as url:
        scene.world.urls = [url]
        for each in (before, device):
            await each.follow()
            assert await scene.equals_the_server(each)
    assert (before.expired, device.expired) == (1, 0)


async def test_a_key_is_rotated_as_the_guide_says_while_processes_serve(
    scene: Scene, settings_of: Callable[[str], Settings]
) -> None:
    """At each restart one process has the settings of before, and the other one the next."""
    old, new = SecretStr("o" * 32), SecretStr("n" * 32)
    steps = [(old, ()), (old, (new,)), (new, (old,))]
    own = settings_of(scene.world.database_url)
    by_number, by_cursor = scene.device(), scene.device(by=ByCursor())
    for before, after in pairwise(steps):
        with ExitStack() as stack:
            scene.world.urls = [
                stack.enter_context(serving(create_app(own.model_copy(update=_keys(*step)))))
                for step in (before, after)
            ]
            for each in (by_number, by_cursor):
                for _ in range(3):
                    await each.turn_page()
    for each in (by_number, by_cursor):
        assert (each.expired, len(each.disk.documents)) == (0, 6 * PAGE)


def _keys(key: SecretStr, previous: tuple[SecretStr, ...]) -> dict[str, object]:
    return {"cursor_key": key, "cursor_previous_keys": previous}


async def test_two_processes_of_the_service(
    scene: Scene, settings_of: Callable[[str], Settings]
) -> None:
    """A page is asked of one of them, and the next of the other."""
    with ExitStack() as stack:
        own = settings_of(scene.world.database_url)
        scene.world.urls = [stack.enter_context(serving(create_app(own))) for _ in range(2)]
        device, other = scene.device(), scene.device()
        for _ in range(3):
            await device.turn_page()
        await scene.tenant.update("filename = 'moved.txt'", *IDS[:6])
        for each in (other, device):
            await each.follow()
            assert each.expired == 0
            assert await scene.equals_the_server(each)


async def test_two_processes_of_the_service_without_redis(
    scene: Scene, settings_of: Callable[[str], Settings]
) -> None:
    """The one that has not drawn the number says so, and the run goes on with the other."""
    nowhere = SecretStr("redis://127.0.0.1:1")
    own = settings_of(scene.world.database_url).model_copy(update={"redis_url": nowhere})
    with serving(create_app(own)) as one, serving(create_app(own)) as other:
        device = scene.device()
        scene.world.urls = [one]
        await device.turn_page()
        scene.world.urls = [other]
        answer = await device.ask()
        assert_problem(answer, 503, "unavailable")
        assert int(answer.headers["retry-after"]) > 0
        scene.world.urls = [one]
        await device.follow()
        assert device.expired == 0
        assert await scene.equals_the_server(device)


@pytest.fixture
async def flapping(
    scene: Scene, settings_of: Callable[[str], Settings]
) -> AsyncIterator[tuple[FlakyRelay, str, str]]:
    """Two processes of the service, and the line to their Redis."""
    own = settings_of(scene.world.database_url)
    assert own.redis_url is not None
    async with FlakyRelay.to(own.redis_url.get_secret_value()) as (relay, through):
        own = own.model_copy(update={"redis_url": SecretStr(through)})
        with serving(create_app(own)) as one, serving(create_app(own)) as other:
            yield relay, one, other


async def test_redis_goes_away_and_comes_back_again_and_again(
    scene: Scene, flapping: tuple[FlakyRelay, str, str]
) -> None:
    """Pages are asked of one process while it is away, and of the other when it is back."""
    relay, one, other = flapping
    device = scene.device()
    for n in range(2):
        await scene.tenant.update(f"filename = '{n}.txt'", *IDS)
        scene.world.urls = [one]
        await relay.cut()
        await device.turn_page()
        await device.turn_page()
        scene.world.urls = [other]
        assert_problem(await device.ask(), 503, "unavailable")
        await relay.restore()
        await turn_page_at_last(device)
        await scene.tenant.update("filename = 'moved.txt'", *IDS[:6])
        scene.world.urls = [one]
        await device.turn_page()  # found in Redis
        await relay.cut()
        assert_problem(await device.ask(), 503, "unavailable")
        await relay.restore()
        scene.world.urls = [one, other]
        await device.follow()
    assert device.expired == 0
    assert await scene.equals_the_server(device)


async def test_the_process_that_drew_a_number_without_redis_ends(
    scene: Scene, settings_of: Callable[[str], Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its number is missed for some seconds, then the run begins again, once."""
    monkeypatch.setattr("syncapi.server.redis.page_positions.HAND_OVER_SECONDS", 0.2)
    own = settings_of(scene.world.database_url)
    assert own.redis_url is not None
    async with FlakyRelay.to(own.redis_url.get_secret_value()) as (relay, through):
        own = own.model_copy(update={"redis_url": SecretStr(through)})
        await relay.cut()
        device = scene.device()
        with serving(create_app(own)) as url:
            scene.world.urls = [url]
            for _ in range(2):
                await device.turn_page()
        with serving(create_app(own)) as url:
            scene.world.urls = [url]
            assert_problem(await device.ask(), 503, "unavailable")
            await relay.restore()
            await turn_page_at_last(device)
            await device.follow()
    assert device.expired == 1
    assert await scene.equals_the_server(device)


class HeldUp(PagePositions):
    """Keeps the first position that it is given when it is told to."""

    def __init__(self, redis: Redis) -> None:
        super().__init__(redis, key_prefix=f"test-{uuid4()}")
        self.is_asked = asyncio.Event()
        self.may_go_on = asyncio.Event()

    @override
    async def keep(
        self, tenant: UUID, user: UUID | None, run: str, cursor: str, *, asked: int
    ) -> int:
        if not self.is_asked.is_set():
            self.is_asked.set()
            await self.may_go_on.wait()
        return await super().keep(tenant, user, run, cursor, asked=asked)


async def test_a_device_that_reads_first_and_keeps_its_position_second(
    tenant: TestTenant, make_writer: MakeWriter, databases: Databases, bucket: Bucket, redis: Redis
) -> None:
    positions = HeldUp(redis)
    codec = CursorCodec(["a key"])
    pull = Pull(databases, Heads(databases), codec, positions, UrlSigner(bucket), url_seconds=60)

    async def page(number: int) -> Page:
        return await pull.page(scope, PullRequest(0, None, number, 2))

    scope: TenantScope = tenant.scope()
    writer = await make_writer(tenant.id)
    await writer.insert(*IDS)
    reading = asyncio.create_task(page(1))
    await positions.is_asked.wait()
    await writer.touch(*IDS[:4])
    theirs = await page(1)
    assert ids(theirs) == IDS[4:6]
    assert theirs.next_page is not None
    await page(theirs.next_page)
    positions.may_go_on.set()
    mine = await reading
    assert ids(mine) == IDS[:2]
    assert mine.next_page is not None
    assert ids(await page(mine.next_page)) == IDS[4:6]  # nothing is left between


def ids(page: Page) -> list[UUID]:
    return [UUID(str(document["id"])) for document in page.added]
