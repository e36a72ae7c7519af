"""Rate limits shared by processes through Valkey, and what remains of them when it is gone."""

import time
from collections.abc import AsyncIterator, Callable
from uuid import UUID, uuid4

import limits
import pytest
from limits.aio.storage import RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from redis.asyncio import Redis
from structlog.testing import capture_logs

from fixtures.flaky import FlakyRelay
from syncapi.embedded import ServiceAddresses
from syncapi.server.domain.errors import RateLimited
from syncapi.server.redis.client import connect
from syncapi.server.redis.rate_limit import RateLimiter

pytestmark = pytest.mark.usefixtures("every_log")

RATE = "5 per 1 hour"
PATIENCE = 30  # seconds: a busy machine is no outage


@pytest.fixture
def member() -> tuple[UUID, UUID]:
    return uuid4(), uuid4()


@pytest.fixture
async def redis(services: ServiceAddresses) -> AsyncIterator[Redis]:
    client = connect(services.redis_url, timeout=PATIENCE)
    yield client
    await client.aclose()


def shared(redis: Redis, now: Callable[[], float] = time.monotonic) -> RateLimiter:
    return RateLimiter(RATE, redis, patience=PATIENCE, retry_interval=2, now=now)


async def admitted(limiter: RateLimiter, member: tuple[UUID, UUID], hits: int) -> int:
    return sum([(await limiter.hit(*member)).is_admitted for _ in range(hits)])


async def test_processes_share_one_limit(redis: Redis, member: tuple[UUID, UUID]) -> None:
    one, other = shared(redis), shared(redis)
    assert await admitted(one, member, 3) == 3
    assert await admitted(other, member, 3) == 2
    with pytest.raises(RateLimited) as refusal:
        await one.check(*member)
    assert 0 < (refusal.value.retry_after or 0) <= 3601


async def test_the_headers_count_down(redis: Redis, member: tuple[UUID, UUID]) -> None:
    limiter = shared(redis)
    for remaining in (4, 3, 2, 1, 0, 0):
        quota = await limiter.hit(*member)
        assert quota.headers["RateLimit-Policy"] == '"member";q=5;w=3600'
        assert quota.headers["RateLimit"].startswith(f'"member";r={remaining};t=')
        assert 0 < quota.reset <= 3601


async def test_each_member_of_each_tenant_has_a_limit_of_its_own(redis: Redis) -> None:
    limiter = shared(redis)
    tenants, users = [uuid4(), uuid4()], [uuid4(), uuid4()]
    for tenant in tenants:
        for user in users:
            assert await admitted(limiter, (tenant, user), 6) == 5


async def test_without_redis_the_process_counts(member: tuple[UUID, UUID]) -> None:
    assert await admitted(RateLimiter(RATE, None), member, 7) == 5


@pytest.mark.parametrize("outage", ["cut", "frozen"])
async def test_an_outage_is_bridged_in_memory_and_told_once(
    services: ServiceAddresses, redis: Redis, member: tuple[UUID, UUID], outage: str
) -> None:
    clock = [0.0]
    async with FlakyRelay.to(services.redis_url) as (relay, url):
        flaky = connect(url, timeout=0.5 if outage == "frozen" else PATIENCE)
        limiter = shared(flaky, lambda: clock[0])
        assert await admitted(limiter, member, 1) == 1
        if outage == "cut":
            await relay.cut()
        else:
            relay.freeze()
        with capture_logs() as logs:
            for clock[0] in (10.0, 20.0, 30.0):
                await limiter.hit(*member)
            assert await admitted(limiter, member, 5) == 2  # five in memory, three had gone
            relay.break_connections()
            await relay.restore()
            clock[0] = 40.0
            assert await admitted(limiter, member, 9) == 4  # one had gone in Redis
        assert [entry["event"] for entry in logs] == [
            "rate_limit_without_redis",
            "rate_limit_with_redis_again",
        ]
        assert not await admitted(shared(redis), member, 1)
        await flaky.aclose()


async def test_while_redis_is_gone_most_requests_do_not_ask_it(
    services: ServiceAddresses, member: tuple[UUID, UUID]
) -> None:
    async with FlakyRelay.to(services.redis_url) as (relay, url):
        flaky = connect(url, timeout=PATIENCE)
        limiter = shared(flaky, lambda: 0)
        await relay.cut()
        await limiter.hit(*member)
        await relay.restore()
        assert await admitted(limiter, member, 9) == 4  # still in memory
        await flaky.aclose()


@pytest.mark.parametrize("rate", ["", "many", "3000/fortnight"])
def test_a_rate_that_cannot_be_read_is_a_mistake(rate: str) -> None:
    with pytest.raises(ValueError, match="rate"):
        RateLimiter(rate, None)


async def test_it_counts_as_the_limits_library_does(
    redis: Redis, member: tuple[UUID, UUID]
) -> None:
    """Processes of older versions counted by that library, on the same keys."""
    item = limits.parse(RATE)
    storage = RedisStorage(
        "async+redis://",
        implementation="redispy",
        key_prefix="syncapi:rate",
        connection_pool=redis.connection_pool,  # type: ignore[arg-type]  # as its docs say
    )
    theirs = SlidingWindowCounterRateLimiter(storage)
    name = "{}/{}".format(*member)
    key = f"syncapi:rate:{{{item.key_for(name)}}}"
    ours = shared(redis)
    assert await admitted(ours, member, 2) == 2
    assert [await theirs.hit(item, name) for _ in range(2)] == [True, True]
    assert await admitted(ours, member, 3) == 1
    assert not await theirs.hit(item, name)
    # Three quarters of an hour are left of the next window, so three of the five hits count.
    await redis.pexpire(key, 2_700_000)
    assert await admitted(ours, member, 1) == 1
    assert await theirs.hit(item, name)
    quota = await ours.hit(*member)
    assert (quota.is_admitted, quota.remaining) == (False, 0)
    assert (await theirs.get_window_stats(item, name)).remaining == 0
