"""Objects read from a real S3 through a line that breaks."""

import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, closing
from dataclasses import replace
from uuid import uuid4

import pytest

from fixtures.flaky import FlakyRelay
from fixtures.until import until
from syncapi.server.domain.errors import NotFound, Unavailable
from syncapi.server.storage.bucket import Bucket
from syncapi.server.storage.reading import OpenObject
from syncapi.server.storage.s3 import ObjectStore

MB = 1024**2
MUCH = 16 * MB  # more than the buffers of all sockets on the way
Keep = Callable[[bytes], Awaitable[str]]


@pytest.fixture
def keep(store: ObjectStore) -> Keep:
    """Puts bytes under a new key."""

    async def put(content: bytes) -> str:
        async def chunks() -> AsyncGenerator[bytes]:
            yield content

        key = f"reading/{uuid4()}"
        await store.upload(key, chunks(), limit=len(content))
        return key

    return put


@pytest.fixture
async def line(bucket: Bucket) -> AsyncIterator[tuple[FlakyRelay, ObjectStore]]:
    """A relay, and the store behind it."""
    async with broken_line(bucket) as both:
        yield both


@asynccontextmanager
async def broken_line(bucket: Bucket) -> AsyncIterator[tuple[FlakyRelay, ObjectStore]]:
    assert bucket.endpoint_url is not None
    async with (
        FlakyRelay.to(bucket.endpoint_url) as (relay, url),
        ObjectStore(replace(bucket, endpoint_url=url), connect_seconds=1, call_seconds=3) as store,
    ):
        yield relay, store


def some_bytes(size: int) -> bytes:
    return random.Random(size).randbytes(size)


async def opened(store: ObjectStore, key: str, patience: float = 0) -> OpenObject:
    found = await store.open(key, reading=patience)
    assert found is not None
    return found


async def rest_of(content: OpenObject) -> bytes:
    async with aclosing(content.pieces()) as pieces:
        return b"".join([piece async for piece in pieces])


async def is_idle(relay: FlakyRelay) -> bool:
    return not relay._writers


@pytest.mark.parametrize("size", [0, 1, 100_000, 3 * MB + 1])
async def test_what_is_read_is_what_was_kept(store: ObjectStore, keep: Keep, size: int) -> None:
    content = await opened(store, await keep(some_bytes(size)))
    assert content.size == size
    assert await rest_of(content) == some_bytes(size)


async def test_what_is_not_there_is_none(store: ObjectStore) -> None:
    assert await store.open(f"reading/{uuid4()}") is None


async def test_a_broken_connection_goes_on_where_it_broke(
    line: tuple[FlakyRelay, ObjectStore], keep: Keep
) -> None:
    relay, store = line
    content = await opened(store, await keep(some_bytes(MUCH)), patience=30)
    read = bytearray()
    breaks = 0
    async with aclosing(content.pieces()) as pieces:
        async for piece in pieces:
            read += piece
            if len(read) > (breaks + 1) * 2 * MB:
                breaks += 1
                relay.break_connections()
    assert bytes(read) == some_bytes(MUCH)
    assert breaks >= 4


async def test_an_s3_that_is_away_for_a_while_is_waited_for(
    line: tuple[FlakyRelay, ObjectStore], keep: Keep
) -> None:
    relay, store = line
    content = await opened(store, await keep(some_bytes(MUCH)), patience=30)
    await relay.cut()
    failures = 0

    async def restore_later(failure: Unavailable) -> None:
        nonlocal failures
        failures += 1
        if failures == 2:
            await relay.restore()
        await bear(failure)

    bear = content._patience.bear
    content._patience.bear = restore_later  # type: ignore[method-assign]
    assert await rest_of(content) == some_bytes(MUCH)
    assert failures >= 2


async def test_an_s3_that_stays_away_is_given_up(
    line: tuple[FlakyRelay, ObjectStore], keep: Keep
) -> None:
    relay, store = line
    content = await opened(store, await keep(some_bytes(MUCH)), patience=0.2)
    await relay.cut()
    with pytest.raises(Unavailable):
        await rest_of(content)


async def test_an_s3_that_is_down_is_waited_for_as_long_as_is_said(
    line: tuple[FlakyRelay, ObjectStore], keep: Keep
) -> None:
    relay, store = line
    key = await keep(b"here")
    await relay.cut()
    with pytest.raises(Unavailable):
        await store.open(key)
    with pytest.raises(Unavailable):
        await store.open(key, opening=0.2)


@pytest.mark.parametrize("fate", ["deleted", "replaced", "shortened"])
async def test_bytes_of_two_objects_are_never_mixed(
    line: tuple[FlakyRelay, ObjectStore], store: ObjectStore, keep: Keep, fate: str
) -> None:
    relay, through = line
    key = await keep(some_bytes(MUCH))
    content = await opened(through, key, patience=0.2)
    new = {"replaced": bytes(MUCH), "shortened": bytes(10)}
    if fate in new:
        await store._call("put_object", Key=key, Body=new[fate])
    else:
        await store.delete(key)
    relay.break_connections()
    with pytest.raises((NotFound, Unavailable)):
        await rest_of(content)


@pytest.mark.parametrize("pieces_read", [0, 1])
async def test_closing_gives_the_connection_back(
    line: tuple[FlakyRelay, ObjectStore], keep: Keep, pieces_read: int
) -> None:
    relay, store = line
    key = await keep(some_bytes(MUCH))
    with closing(await opened(store, key)) as content:
        async with aclosing(content.pieces()) as pieces:
            for _ in range(pieces_read):
                await anext(pieces)
        assert not await is_idle(relay)
    await until(lambda: is_idle(relay))
