"""Rate limits shared by processes through Valkey, and what remains of them when it is gone."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from uuid import UUID, uuid4

import pytest
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
        (await one.hit(*member)).enforce()
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


async def test_the_bucket_refills_by_the_clock_of_redis(
    redis: Redis, member: tuple[UUID, UUID]
) -> None:
    """Five an hour: one comes back each 720 seconds, and the last of them makes it full."""
    limiter = shared(redis)
    key = "syncapi:bucket:{}/{}".format(*member)
    assert await admitted(limiter, member, 9) == 5
    assert 3_500_000 < await redis.pttl(key) <= 3_600_000
    seconds, micros = await redis.time()
    now = seconds * 1_000_000 + micros
    await redis.set(key, now + 2 * 720_000_000, px=3_600_000)
    quota = await limiter.hit(*member)
    assert (quota.is_admitted, quota.remaining) == (True, 2)
    assert 600 < quota.reset <= 720
    assert await admitted(limiter, member, 9) == 2
    await redis.set(key, now + 3_601_000_000, px=3_600_000)  # the clock was set back
    assert await admitted(limiter, member, 9) == 5


async def test_hits_at_once_are_counted_each(redis: Redis, member: tuple[UUID, UUID]) -> None:
    limiters = [shared(redis) for _ in range(4)]
    quotas = await asyncio.gather(*(limiters[n % 4].hit(*member) for n in range(40)))
    assert sum(quota.is_admitted for quota in quotas) == 5
    assert sorted(quota.remaining for quota in quotas if quota.is_admitted) == [0, 1, 2, 3, 4]
