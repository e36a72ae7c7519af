"""The timestamp protocol: `since` and `page`, for clients that know no cursors."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID, uuid4

import pytest
from redis.asyncio import Redis

from fixtures.flaky import FlakyRelay
from fixtures.pulling import BEGINNING, added, ask, deleted, modified, problem_of, pull
from fixtures.service import TestTenant
from fixtures.writing import MakeWriter, SqlWriter
from syncapi.redis.client import connect
from syncapi.redis.page_positions import KEPT_SECONDS, PAGES_BEHIND, PagePositions
from syncapi.settings import Settings
from syncapi.wire.base import format_time
from syncapi.wire.sync import SyncPage


@pytest.fixture
async def writer(tenant: TestTenant, make_writer: MakeWriter) -> SqlWriter:
    return await make_writer(tenant.id)


class Device:
    """A client of the timestamp protocol: a page at a time, then `server_time` is its `since`."""

    def __init__(self, tenant: TestTenant, *, per_page: int = 2) -> None:
        self._client = tenant.viewer
        self._per_page = per_page
        self._page: int | None = 1
        self.since = BEGINNING
        self.documents: set[UUID] = set()

    async def turn_page(self) -> SyncPage:
        """Pull and apply the next page of the run, or the first of the next run."""
        page = await pull(
            self._client, since=self.since, page=self._page or 1, per_page=self._per_page
        )
        self.documents |= added(page) | modified(page)
        self.documents -= deleted(page)
        self._page = page.next_page
        if not page.has_more:
            self.since = format_time(page.server_time)
        return page

    async def finish(self) -> list[SyncPage]:
        """Turn pages until there are no more."""
        pages = [await self.turn_page()]
        while pages[-1].has_more:
            pages.append(await self.turn_page())
        return pages


async def test_pages_are_counted(tenant: TestTenant, writer: SqlWriter) -> None:
    ids = {uuid4() for _ in range(5)}
    await writer.insert(*ids)
    device = Device(tenant)
    pages = await device.finish()
    assert [page.next_page for page in pages] == [2, 3, None]
    assert [len(page.added) for page in pages] == [2, 2, 1]
    assert device.documents == ids


async def test_a_page_may_be_turned_twice(tenant: TestTenant, writer: SqlWriter) -> None:
    await writer.insert(*(uuid4() for _ in range(5)))
    for number in (1, 2, 2, 3, 2, 3):
        page = await pull(tenant.viewer, since=BEGINNING, page=number, per_page=2)
        assert len(page.added) == (1 if number == 3 else 2)


async def test_a_run_may_go_on_by_its_cursor(tenant: TestTenant, writer: SqlWriter) -> None:
    await writer.insert(*(uuid4() for _ in range(4)))
    first = await pull(tenant.viewer, since=BEGINNING, page=1, per_page=2)
    by_page = await pull(tenant.viewer, since=BEGINNING, page=2, per_page=2)
    by_cursor = await pull(tenant.viewer, cursor=first.sync_token, per_page=2)
    assert added(by_page) == added(by_cursor)
    assert by_page.sync_token == by_cursor.sync_token


@pytest.mark.parametrize("change", [SqlWriter.touch, SqlWriter.delete, SqlWriter.erase])
async def test_nothing_is_skipped_when_documents_move(
    tenant: TestTenant, writer: SqlWriter, change: object
) -> None:
    """With OFFSET, each that leaves the first page would hide one from the second."""
    ids = sorted(uuid4() for _ in range(6))
    await writer.insert(*ids)
    device = Device(tenant)
    await device.turn_page()
    assert device.documents == set(ids[:2])
    assert callable(change)
    await change(writer, *ids[:2])
    await device.finish()
    assert set(ids[2:]) <= device.documents
    await device.finish()
    assert device.documents == set(await writer.live())


async def test_two_devices_of_a_user_at_once(tenant: TestTenant, writer: SqlWriter) -> None:
    """Both page through the same `since`, in step or not, and neither misses anything."""
    ids = sorted(uuid4() for _ in range(6))
    await writer.insert(*ids)
    one, other = Device(tenant), Device(tenant)
    await one.turn_page()
    await writer.touch(*ids[:2])
    await other.turn_page()  # sees the third and fourth first
    assert other.documents == set(ids[2:4])
    for device in (one, other, other, one):
        await device.turn_page()
    for device in (one, other):
        await device.finish()
        await device.finish()
        assert device.documents == set(await writer.live())


async def test_a_run_that_begins_again_promises_no_more_than_it_brings(
    tenant: TestTenant, writer: SqlWriter
) -> None:
    """A client that takes `server_time` from the first page must not lose what came between."""
    await writer.insert(*sorted(uuid4() for _ in range(4)))
    await pull(tenant.viewer, since=BEGINNING, page=1, per_page=2)  # another device, and crashed
    late = await writer.insert_one()
    first = await pull(tenant.viewer, since=BEGINNING, page=1, per_page=2)
    told = added(first)
    page = first
    while page.next_page is not None:
        page = await pull(tenant.viewer, since=BEGINNING, page=page.next_page, per_page=2)
        told |= added(page)
    for promise in (first.server_time, page.server_time):
        rest = await pull(tenant.viewer, since=format_time(promise))
        assert late in told | added(rest)


async def test_users_do_not_share_their_pages(tenant: TestTenant, writer: SqlWriter) -> None:
    await writer.insert(*(uuid4() for _ in range(4)))
    await pull(tenant.viewer, since=BEGINNING, page=1, per_page=2)
    answer = await ask(tenant.admin, since=BEGINNING, page=2, per_page=2)
    problem_of(answer, 410, "cursor_expired")


@pytest.mark.parametrize(
    "other",
    [{"page": 4}, {"per_page": 3}, {"since": "1970-01-01T00:00:01Z"}, {"include_deleted": False}],
)
async def test_a_page_that_nobody_asked_the_way_to(
    tenant: TestTenant, writer: SqlWriter, other: dict[str, str | int | bool]
) -> None:
    await writer.insert(*(uuid4() for _ in range(6)))
    await pull(tenant.viewer, since=BEGINNING, page=1, per_page=2)
    known: dict[str, str | int | bool] = {"since": BEGINNING, "page": 2, "per_page": 2}
    await pull(tenant.viewer, **known)
    problem = problem_of(await ask(tenant.viewer, **(known | other)), 410, "cursor_expired")
    assert problem.reason == "page_forgotten"
    assert "page=1" in problem.detail
    assert "sync_token" in problem.detail


async def test_collected_tombstones_expire_numbered_pages_too(
    tenant: TestTenant, writer: SqlWriter
) -> None:
    await writer.insert_one()
    since = format_time(await writer.last_stamp())
    ids = [uuid4() for _ in range(4)]
    await writer.insert(*ids)
    await pull(tenant.viewer, since=since, page=1, per_page=2)
    await writer.delete(*ids)
    await writer.collect_tombstones()
    problem_of(await ask(tenant.viewer, since=since, page=2, per_page=2), 410, "cursor_expired")


@pytest.mark.parametrize("since", ["1970-01-01T00:00:00Z", "1970-01-01T02:00:00+02:00"])
async def test_a_time_is_the_same_however_it_is_written(
    tenant: TestTenant, writer: SqlWriter, since: str
) -> None:
    await writer.insert(*(uuid4() for _ in range(3)))
    await pull(tenant.viewer, since=since, page=1, per_page=2)
    page = await pull(tenant.viewer, since=BEGINNING, page=2, per_page=2)
    assert len(page.added) == 1


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


class Kept:
    """The positions of one run of a user."""

    def __init__(self, positions: PagePositions, run: str = "run") -> None:
        self._positions = positions
        self._run = run
        self._tenant = uuid4()

    async def keep(self, page: int, cursor: str) -> tuple[int, str]:
        return await self._positions.keep(self._tenant, None, self._run, page, cursor)

    async def find(self, page: int) -> str | None:
        return await self._positions.find(self._tenant, None, self._run, page)


@pytest.fixture
async def redis(settings: Settings) -> AsyncIterator[Redis]:
    assert settings.redis_url is not None
    async with connect(settings.redis_url.get_secret_value()) as redis:
        yield redis


class TestPositions:
    """Where positions are kept: in Redis for all processes, else in this one, for a while."""

    @pytest.fixture(params=["in Redis", "here"])
    def kept(self, request: pytest.FixtureRequest, redis: Redis) -> Kept:
        in_redis = PagePositions(redis, key_prefix=f"test-{uuid4()}")
        return Kept(in_redis if request.param == "in Redis" else PagePositions(None))

    async def test_the_older_position_stays(self, kept: Kept) -> None:
        """It repeats rows for who comes later, and skips none for who came first."""
        assert await kept.keep(2, "older") == (2, "older")
        assert await kept.keep(2, "newer") == (2, "older")
        assert await kept.find(2) == "older"
        assert await kept.find(3) is None

    async def test_a_run_begins_with_its_second_page(self, kept: Kept) -> None:
        """Page 3 of one that is forgotten gets a number that no other run gives."""
        page, cursor = await kept.keep(3, "of a run that is forgotten")
        assert page > 3
        assert await kept.find(page) == cursor == "of a run that is forgotten"
        assert await kept.find(3) is None
        following, _ = await kept.keep(page + 1, "behind it")
        assert await kept.find(following) == "behind it"

    async def test_what_lies_far_behind_is_forgotten_but_for_the_beginning(
        self, kept: Kept
    ) -> None:
        for page in range(2, PAGES_BEHIND + 5):
            await kept.keep(page, f"{page}")
        known = [page for page in range(2, PAGES_BEHIND + 5) if await kept.find(page)]
        assert known == [2, *range(5, PAGES_BEHIND + 5)]

    async def test_redis_forgets_a_run_as_a_whole(self, redis: Redis) -> None:
        prefix = f"test-{uuid4()}"
        kept = Kept(PagePositions(redis, key_prefix=prefix))
        await kept.keep(2, "here")
        (key,) = [key async for key in redis.scan_iter(f"{prefix}:*")]
        assert 0 < await redis.ttl(key) <= KEPT_SECONDS
        await redis.expire(key, 1000)
        await kept.keep(3, "there")  # a run does not last longer for being used
        assert await redis.ttl(key) <= 1000

    async def test_this_process_forgets_a_run_as_a_whole(self) -> None:
        clock = Clock()
        kept = Kept(PagePositions(None, now=clock))
        await kept.keep(2, "here")
        clock.now = KEPT_SECONDS - 1
        await kept.keep(3, "there")
        assert await kept.find(2) == "here"
        clock.now = KEPT_SECONDS + 1
        assert await kept.find(2) is None
        assert await kept.find(3) is None

    async def test_processes_share_what_is_in_redis(self, redis: Redis) -> None:
        one, other = (PagePositions(redis, key_prefix="test") for _ in range(2))
        tenant = uuid4()
        await one.keep(tenant, None, "run", 2, "here")
        assert await other.find(tenant, None, "run", 2) == "here"

    async def test_a_redis_that_is_gone_is_done_without(self) -> None:
        async with connect("redis://127.0.0.1:1") as nowhere:
            kept = Kept(PagePositions(nowhere))
            page, _ = await kept.keep(2, "here")
            assert await kept.find(page) == "here"
            following, _ = await kept.keep(page + 1, "there")
            assert await kept.find(following) == "there"

    async def test_a_redis_that_comes_back_has_nobody_elses_position_for_us(
        self, redis: Redis, settings: Settings
    ) -> None:
        """The other device's lies further on: what is between the two would be skipped."""
        assert settings.redis_url is not None
        prefix, tenant = f"test-{uuid4()}", uuid4()
        async with (
            FlakyRelay.to(settings.redis_url.get_secret_value()) as (relay, url),
            connect(url) as flaky,
        ):
            one = PagePositions(flaky, key_prefix=prefix)
            other = PagePositions(redis, key_prefix=prefix)
            relay.freeze()
            page, _ = await one.keep(tenant, None, "run", 2, "older")
            assert await other.keep(tenant, None, "run", 2, "newer") == (2, "newer")
            await relay.restore()
            assert await one.find(tenant, None, "run", page) == "older"
            assert await other.find(tenant, None, "run", page) is None  # begins again with page 1
