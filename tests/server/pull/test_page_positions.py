"""What is kept of numbered pages: in Redis for all processes, else in this one, for a while."""

import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from fixtures.flaky import FlakyRelay
from fixtures.until import until
from syncapi.embedded.valkey import ValkeyServer
from syncapi.server.domain.errors import Unavailable
from syncapi.server.redis.client import connect
from syncapi.server.redis.page_positions import (
    FIRST_DRAWN,
    FIRST_DRAWN_HERE,
    HAND_OVER_SECONDS,
    KEPT_SECONDS,
    LAST_PAGE,
    NUMBERS_KEPT,
    RUNS_KEPT,
    PagePositions,
)
from syncapi.server.settings import Settings

LARGEST_INT32 = 2**31 - 1


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


class User:
    """A user's way to the positions."""

    def __init__(self, positions: PagePositions, tenant: UUID | None = None) -> None:
        self._positions = positions
        self._tenant = tenant or uuid4()
        self._user = uuid4()

    async def keep(self, cursor: str, *, run: str = "0:1", asked: int = 1) -> int:
        return await self._positions.keep(self._tenant, self._user, run, cursor, asked=asked)

    async def find(self, page: int, *, run: str = "0:1") -> str | None:
        return await self._positions.find(self._tenant, self._user, run, page)


@pytest.fixture
async def redis(settings: Settings) -> AsyncIterator[Redis]:
    assert settings.redis_url is not None
    async with connect(settings.redis_url.get_secret_value()) as redis:
        yield redis


@asynccontextmanager
async def without_redis(
    draw: Callable[[int], int] = secrets.randbelow,
) -> AsyncIterator[PagePositions]:
    """In a process that does not reach Redis."""
    async with (
        connect("redis://127.0.0.1:1") as nowhere,
        aclosing(PagePositions(nowhere, draw=draw)) as positions,
    ):
        yield positions


MakePositions = Callable[..., PagePositions]


@pytest.fixture(params=["in Redis", "here"])
def make_positions(request: pytest.FixtureRequest, redis: Redis) -> MakePositions:
    def make(draw: Callable[[int], int] | None = None) -> PagePositions:
        prefix = f"test-{uuid4()}"
        place = redis if request.param == "in Redis" else None
        if draw is None:
            return PagePositions(place, key_prefix=prefix)
        return PagePositions(place, key_prefix=prefix, draw=draw)

    return make


@pytest.fixture
def user(make_positions: MakePositions) -> User:
    return User(make_positions())


async def test_every_answer_has_a_number_of_its_own(user: User) -> None:
    """Also if two of them are of the same run and the same place in it."""
    numbers = [await user.keep(f"cursor {n // 2}") for n in range(20)]
    assert len(set(numbers)) == 20
    for n, number in enumerate(numbers):
        assert FIRST_DRAWN <= number <= LAST_PAGE < LARGEST_INT32
        assert await user.find(number) == f"cursor {n // 2}"


async def test_a_number_that_is_taken_is_drawn_again(make_positions: MakePositions) -> None:
    draws: Iterator[int] = iter((7, 7, 7, 8))
    user = User(make_positions(lambda _: next(draws)))
    first = await user.keep("first")
    second = await user.keep("second")
    assert second == first + 1
    assert await user.find(first) == "first"
    assert await user.find(second) == "second"


async def test_a_number_is_bound_to_its_run(user: User) -> None:
    number = await user.keep("mine", run="0:1")
    for other in ("0:0", "1:1", "0", ""):
        assert await user.find(number, run=other) is None
    assert await user.find(number, run="0:1") == "mine"


async def test_a_number_is_its_users_and_its_tenants(make_positions: MakePositions) -> None:
    positions, tenant = make_positions(), uuid4()
    number = await User(positions, tenant).keep("mine")
    assert await User(positions, tenant).find(number) is None


async def test_a_run_keeps_its_newest_numbers(user: User) -> None:
    numbers = [await user.keep("1")]
    for n in range(2, 20):
        numbers.append(await user.keep(f"{n}", asked=numbers[-1]))
    found = [await user.find(number) for number in numbers]
    kept = [f"{n}" for n in range(20 - NUMBERS_KEPT, 20)]
    assert found == [None] * (19 - NUMBERS_KEPT) + kept


async def test_a_page_whose_answer_is_lost_again_and_again_stays_known(user: User) -> None:
    number = await user.keep("here")
    following = [await user.keep("there", asked=number) for _ in range(3 * NUMBERS_KEPT)]
    assert await user.find(number) == "here"
    assert await user.find(following[-1]) == "there"


async def test_the_runs_that_were_used_last_are_kept(user: User) -> None:
    """However many pages others read, and however many values of `since` they try."""
    used, forgotten = await user.keep("used"), await user.keep("forgotten")
    counted = await user.keep("counted", asked=2)
    for n in range(2 * RUNS_KEPT):
        other = await user.keep("another", run=f"{n}:1")
        for _ in range(3):
            other = await user.keep("another", run=f"{n}:1", asked=other)
        assert await user.find(used) == "used"
        used = await user.keep("used", asked=used)
        for page in range(2, 5):  # a device that counts: all of them are one run
            assert await user.find(counted) == "counted"
            counted = await user.keep("counted", asked=page)
    assert await user.find(used) == "used"
    assert await user.find(counted) == "counted"
    assert await user.find(forgotten) is None


async def test_nobody_pushes_out_the_numbers_of_another_user(
    make_positions: MakePositions,
) -> None:
    positions, tenant = make_positions(), uuid4()
    user, other = User(positions, tenant), User(positions, tenant)
    number = await user.keep("mine")
    for n in range(RUNS_KEPT + 2):
        await other.keep("theirs", run=f"{n}:1")
    assert await user.find(number) == "mine"


async def test_what_redis_holds_of_a_user_is_bounded(redis: Redis) -> None:
    prefix = f"test-{uuid4()}"
    user = User(PagePositions(redis, key_prefix=prefix))
    for n in range(RUNS_KEPT + 10):
        number = await user.keep("c" * 100, run=f"{n}:1")
        for _ in range(NUMBERS_KEPT + 2):
            number = await user.keep("c" * 100, run=f"{n}:1", asked=number)
    (key,) = [key async for key in redis.scan_iter(f"{prefix}:*")]
    assert await redis.hlen(key) == RUNS_KEPT * NUMBERS_KEPT + 1
    assert (await redis.memory_usage(key) or 0) < 64 * 1024


async def test_in_redis_a_run_lasts_while_it_goes_on(redis: Redis) -> None:
    prefix = f"test-{uuid4()}"
    user = User(PagePositions(redis, key_prefix=prefix))
    number = await user.keep("here")
    (key,) = [key async for key in redis.scan_iter(f"{prefix}:*")]
    assert 0 < await redis.ttl(key) <= KEPT_SECONDS
    await redis.expire(key, 1000)
    await user.keep("there", asked=number)
    assert await redis.ttl(key) > 1000


async def test_here_a_run_lasts_while_it_goes_on() -> None:
    clock = Clock()
    user = User(PagePositions(None, now=clock))
    number = await user.keep("1")
    for n in range(2, 10):
        clock.now += KEPT_SECONDS - 1
        assert await user.find(number) == f"{n - 1}"
        number = await user.keep(f"{n}", asked=number)
    clock.now += KEPT_SECONDS + 1
    assert await user.find(number) is None


async def test_here_the_users_are_bounded() -> None:
    positions = PagePositions(None)
    first = User(positions)
    number = await first.keep("mine")
    for _ in range(1000):
        await User(positions).keep("theirs")
    assert await first.find(number) is None


async def test_processes_share_what_is_in_redis(redis: Redis) -> None:
    one, other = (PagePositions(redis, key_prefix="test") for _ in range(2))
    tenant, user = uuid4(), uuid4()
    number = await one.keep(tenant, user, "0:1", "here", asked=1)
    following = await other.keep(tenant, user, "0:1", "there", asked=number)
    assert await other.find(tenant, user, "0:1", number) == "here"
    assert await one.find(tenant, user, "0:1", following) == "there"


async def test_a_redis_that_is_gone_is_done_without() -> None:
    async with without_redis() as positions:
        user = User(positions)
        number = await user.keep("here")
        assert await user.find(number) == "here"
        following = await user.keep("there", asked=number)
        assert await user.find(following) == "there"


async def test_a_number_that_this_process_does_not_know_while_redis_is_gone() -> None:
    """It is not called forgotten: who begins again would come to the same end."""
    async with without_redis() as one, without_redis() as other:
        tenant, user = uuid4(), uuid4()
        number = await one.keep(tenant, user, "0:1", "here", asked=1)
        with pytest.raises(Unavailable) as refusal:
            await other.find(tenant, user, "0:1", number)
        assert refusal.value.retry_after
        assert await one.find(tenant, user, "0:1", number) == "here"


@pytest.fixture
async def full_redis(tmp_path: Path) -> AsyncIterator[Redis]:
    """One that takes no writes, since its memory is full and it may not evict."""
    with ValkeyServer(tmp_path, durable=False) as server:
        async with connect(server.url) as redis:
            await redis.config_set("maxmemory-policy", "noeviction")
            await redis.config_set("maxmemory", "1")
            yield redis


async def test_a_redis_that_takes_no_writes_is_told_of_once_a_minute(full_redis: Redis) -> None:
    clock = Clock()
    positions = PagePositions(full_redis, now=clock)
    user = User(positions)
    with capture_logs() as logs:
        number = await user.keep("here")
        clock.now += 59
        following = await user.keep("there", asked=number)
        assert len(logs) == 1
        clock.now += 2
        await user.keep("further", asked=following)
    assert [(log["event"], log["log_level"]) for log in logs] == [
        ("page_numbers_without_redis", "warning")
    ] * 2
    await positions.aclose()
    assert "maxmemory" in logs[0]["error"]
    assert await user.find(number) == "here"
    assert await user.find(following) == "there"


async def test_what_redis_did_not_take_in_time_is_found_here_when_it_is_back(
    redis: Redis, settings: Settings
) -> None:
    assert settings.redis_url is not None
    prefix = f"test-{uuid4()}"
    async with (
        FlakyRelay.to(settings.redis_url.get_secret_value()) as (relay, url),
        connect(url) as flaky,
        aclosing(PagePositions(flaky, key_prefix=prefix)) as positions,
    ):
        user = User(positions)
        before = await user.keep("before")
        relay.freeze()
        number = await user.keep("meanwhile", asked=before)
        with pytest.raises(Unavailable):
            await user.find(before)
        await relay.restore()
        assert await user.find(before) == "before"
        assert await user.find(number) == "meanwhile"
        assert [key async for key in redis.scan_iter(f"{prefix}:*")]


async def test_what_redis_may_have_taken_without_saying_so_has_another_number_here() -> None:
    """It may have held the number already, for another cursor."""
    draws: Iterator[int] = iter((1, 1))
    async with without_redis(draw=lambda _: next(draws)) as positions:
        assert await User(positions).keep("here") == FIRST_DRAWN_HERE + 1


class Flapping:
    """Two processes of the service whose Redis goes away and comes back."""

    def __init__(self, relay: FlakyRelay, one: PagePositions, other: PagePositions) -> None:
        self.relay = relay
        self.one = one
        self.other = other
        self._run = (uuid4(), uuid4(), "0:1")

    async def keep(self, cursor: str, asked: int = 1) -> int:
        return await self.one.keep(*self._run, cursor, asked=asked)

    async def find(self, page: int) -> str | None:
        """What the other process knows of it."""
        return await self.other.find(*self._run, page)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def flapping(settings: Settings, clock: Clock) -> AsyncIterator[Flapping]:
    assert settings.redis_url is not None
    prefix = f"test-{uuid4()}"
    async with (
        FlakyRelay.to(settings.redis_url.get_secret_value()) as (relay, url),
        connect(url) as redis,
        aclosing(PagePositions(redis, key_prefix=prefix, now=clock)) as one,
        aclosing(PagePositions(redis, key_prefix=prefix, now=clock)) as other,
    ):
        yield Flapping(relay, one, other)


async def test_what_was_drawn_without_redis_is_handed_over_when_it_is_back(
    flapping: Flapping, clock: Clock
) -> None:
    """In the order of the answers, however often it goes away; nobody calls it forgotten."""
    number = 1
    for n in range(3):
        await flapping.relay.cut()
        for _ in range(NUMBERS_KEPT + 1):
            number = await flapping.keep(f"{n}", asked=number)
        with pytest.raises(Unavailable):
            await flapping.find(number)
        clock.now += 2 * HAND_OVER_SECONDS
        await flapping.relay.restore()

        async def is_known(page: int = number) -> bool:
            with suppress(Unavailable):
                return bool(await flapping.find(page))
            return False

        await until(is_known)
        assert await flapping.find(number) == f"{n}"


async def test_what_nobody_hands_over_is_forgotten_in_the_end(
    flapping: Flapping, clock: Clock
) -> None:
    """The process that drew it has ended."""
    await flapping.relay.cut()
    number = await flapping.keep("here")
    await flapping.one.aclose()
    await flapping.relay.restore()
    for _ in range(2):
        with pytest.raises(Unavailable):
            await flapping.find(number)
        clock.now += HAND_OVER_SECONDS / 2
    assert await flapping.find(number) is None


async def test_what_nobody_hands_over_is_forgotten_though_redis_fails_now_and_then(
    flapping: Flapping, clock: Clock
) -> None:
    number = FIRST_DRAWN_HERE + 7
    for _ in range(3):
        with pytest.raises(Unavailable):
            await flapping.find(number)
        clock.now += 0.4 * HAND_OVER_SECONDS
        await flapping.relay.cut()
        with pytest.raises(Unavailable):
            await flapping.find(number)
        await flapping.relay.restore()
    assert await flapping.find(number) is None


async def test_while_redis_is_away_nothing_is_forgotten(flapping: Flapping, clock: Clock) -> None:
    """Who is to hand the number over cannot do so meanwhile."""
    number = FIRST_DRAWN_HERE + 7
    with pytest.raises(Unavailable):
        await flapping.find(number)
    await flapping.relay.cut()
    with pytest.raises(Unavailable):
        await flapping.find(number)
    clock.now += 2 * HAND_OVER_SECONDS
    await flapping.relay.restore()
    with pytest.raises(Unavailable):
        await flapping.find(number)
    clock.now += HAND_OVER_SECONDS
    assert await flapping.find(number) is None


async def test_what_redis_drew_and_lost_is_forgotten_at_once(flapping: Flapping) -> None:
    assert await flapping.find(FIRST_DRAWN_HERE - 1) is None
