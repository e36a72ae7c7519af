"""News of memberships between processes, through Valkey."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import uuid4

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from fixtures.flaky import FlakyRelay
from syncapi.embedded import ServiceAddresses
from syncapi.server.redis.client import connect
from syncapi.server.redis.invalidation import EVERYTHING, Change, Invalidations

pytestmark = pytest.mark.usefixtures("every_log")

PATIENCE = 30


@pytest.fixture
def channel() -> str:
    return f"test:{uuid4()}"


@asynccontextmanager
async def process(url: str, channel: str) -> AsyncIterator[tuple[Invalidations, Redis]]:
    """What one process of the service has."""
    async with AsyncExitStack() as stack:
        redis = connect(url, timeout=PATIENCE)
        stack.push_async_callback(redis.aclose)
        yield Invalidations(redis, channel=channel), redis


class Ear:
    """Hears the changes of one process, in order."""

    def __init__(self, invalidations: Invalidations) -> None:
        self._heard: asyncio.Queue[Change] = asyncio.Queue()
        invalidations.subscribe(self._heard.put_nowait)

    async def next(self) -> Change:
        return await asyncio.wait_for(self._heard.get(), PATIENCE)


async def test_a_change_reaches_the_other_process(
    services: ServiceAddresses, channel: str
) -> None:
    url = services.redis_url
    async with process(url, channel) as (here, _), process(url, channel) as (there, _):
        ear = Ear(there)
        async with there.listening():
            assert await ear.next() == EVERYTHING  # connected: earlier news may be lost
            for change in (Change(uuid4(), uuid4()), Change(uuid4()), EVERYTHING):
                await here.publish(change)
                assert await ear.next() == change


async def test_a_change_is_heard_at_once_where_it_was_made(channel: str) -> None:
    change = Change(uuid4(), uuid4())
    alone = Invalidations(None, channel=channel)
    ear = Ear(alone)
    async with alone.listening():
        await alone.publish(change)
    assert await ear.next() == change


@pytest.mark.parametrize("outage", ["cut", "broken"])
async def test_after_an_outage_everything_is_forgotten_and_news_comes_again(
    services: ServiceAddresses, channel: str, outage: str
) -> None:
    async with (
        FlakyRelay.to(services.redis_url) as (relay, url),
        process(url, channel) as (there, _),
        process(services.redis_url, channel) as (here, _),
    ):
        ear = Ear(there)
        async with there.listening():
            assert await ear.next() == EVERYTHING
            if outage == "cut":
                await relay.cut()
                await here.publish(Change(uuid4()))  # lost
                await relay.restore()
            else:
                relay.break_connections()
            assert await ear.next() == EVERYTHING
            change = Change(uuid4())
            await here.publish(change)
            assert await ear.next() == change


async def test_a_process_that_starts_without_redis_hears_it_later(
    services: ServiceAddresses, channel: str
) -> None:
    async with (
        FlakyRelay.to(services.redis_url) as (relay, url),
        process(url, channel) as (there, _),
    ):
        await relay.cut()
        ear = Ear(there)
        with capture_logs() as logs:
            async with there.listening():
                await relay.restore()
                assert await ear.next() == EVERYTHING
        assert [log["event"] for log in logs] in ([], ["invalidation_connection_lost"])


async def test_publishing_without_redis_is_no_failure(
    services: ServiceAddresses, channel: str
) -> None:
    async with (
        FlakyRelay.to(services.redis_url) as (relay, url),
        process(url, channel) as (here, _),
    ):
        await relay.cut()
        ear = Ear(here)
        with capture_logs() as logs:
            await here.publish(Change(uuid4()))
        assert (await ear.next()).tenant_id is not None
        assert [log["event"] for log in logs] == ["invalidation_not_published"]


@pytest.mark.parametrize("message", [b"", b"\xff", b"* * *", b"x y", b"garbage"])
async def test_news_that_cannot_be_read_is_taken_for_everything(
    services: ServiceAddresses, channel: str, message: bytes
) -> None:
    async with process(services.redis_url, channel) as (there, redis):
        ear = Ear(there)
        async with there.listening():
            assert await ear.next() == EVERYTHING
            await redis.publish(channel, message)
            assert await ear.next() == EVERYTHING
