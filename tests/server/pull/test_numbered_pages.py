"""The timestamp protocol: `since` and `next_page`, for clients that know no cursors.

Clients that count the pages by themselves are in ``test_counted_pages.py``, and what happens to
pages while positions get lost in ``test_lost_positions.py``.
"""

from uuid import UUID, uuid4

import pytest

from fixtures.pulling import BEGINNING, added, ask, deleted, modified, problem_of, pull
from fixtures.service import TestTenant
from fixtures.writing import MakeWriter, SqlWriter
from syncapi.protocol.base import format_time
from syncapi.protocol.sync import SyncPage
from syncapi.server.redis.page_positions import FIRST_DRAWN, LAST_PAGE


@pytest.fixture
async def writer(tenant: TestTenant, make_writer: MakeWriter) -> SqlWriter:
    return await make_writer(tenant.id)


class Device:
    """A client of the timestamp protocol: a page at a time, then `server_time` is its `since`."""

    def __init__(self, tenant: TestTenant, *, per_page: int = 2) -> None:
        self._client = tenant.viewer
        self.per_page = per_page
        self._page: int | None = 1
        self.since = BEGINNING
        self.documents: set[UUID] = set()

    async def turn_page(self) -> SyncPage:
        """Pull and apply the next page of the run, or the first of the next run."""
        page = await pull(
            self._client, since=self.since, page=self._page or 1, per_page=self.per_page
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


async def test_a_page_is_known_by_the_number_that_the_last_one_gave(
    tenant: TestTenant, writer: SqlWriter
) -> None:
    ids = {uuid4() for _ in range(5)}
    await writer.insert(*ids)
    device = Device(tenant)
    pages = await device.finish()
    numbers = [page.next_page for page in pages]
    assert numbers[2] is None
    assert len(set(numbers)) == 3
    assert all(FIRST_DRAWN <= (number or FIRST_DRAWN) <= LAST_PAGE for number in numbers)
    assert [len(page.added) for page in pages] == [2, 2, 1]
    assert device.documents == ids


async def test_a_page_may_be_turned_twice(tenant: TestTenant, writer: SqlWriter) -> None:
    """Its answer may have been lost. Each has a number of its own, and they lead on alike."""
    ids = sorted(uuid4() for _ in range(6))
    await writer.insert(*ids)
    first = await pull(tenant.viewer, since=BEGINNING, per_page=2)
    assert first.next_page is not None
    second, again = [
        await pull(tenant.viewer, since=BEGINNING, page=first.next_page, per_page=2)
        for _ in range(2)
    ]
    assert added(second) == added(again) == set(ids[2:4])
    assert second.next_page != again.next_page
    for page in (second, again):
        assert page.next_page is not None
        third = await pull(tenant.viewer, since=BEGINNING, page=page.next_page, per_page=2)
        assert added(third) == set(ids[4:])


async def test_a_run_may_go_on_by_its_cursor(tenant: TestTenant, writer: SqlWriter) -> None:
    await writer.insert(*(uuid4() for _ in range(4)))
    first = await pull(tenant.viewer, since=BEGINNING, page=1, per_page=2)
    assert first.next_page is not None
    by_page = await pull(tenant.viewer, since=BEGINNING, page=first.next_page, per_page=2)
    by_cursor = await pull(tenant.viewer, cursor=first.sync_token, per_page=2)
    assert added(by_page) == added(by_cursor)
    assert by_page.sync_token == by_cursor.sync_token


async def test_the_page_size_may_change_within_a_run(
    tenant: TestTenant, writer: SqlWriter
) -> None:
    """Also where another device has gone further with the other size."""
    ids = sorted(uuid4() for _ in range(12))
    await writer.insert(*ids)
    other, device = Device(tenant, per_page=4), Device(tenant, per_page=2)
    for _ in range(2):
        await device.turn_page()
    await other.turn_page()
    await other.turn_page()
    await writer.touch(*ids[:8])
    device.per_page = 4
    await device.finish()
    await device.finish()
    assert device.documents == set(await writer.live())


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


async def test_a_quick_device_does_not_push_out_a_slow_one(
    tenant: TestTenant, writer: SqlWriter
) -> None:
    """Nor do further ones that begin again, on any page."""
    ids = sorted(uuid4() for _ in range(110))
    await writer.insert(*ids)
    slow, quick = Device(tenant, per_page=1), Device(tenant, per_page=1)
    for _ in range(2):
        await slow.turn_page()
    assert len(await quick.finish()) == 110
    await writer.touch(*ids[:4])
    for _ in range(3):
        another = Device(tenant, per_page=1)
        for _ in range(4):
            await another.turn_page()
    pages = await slow.finish()  # without a 410
    assert added(pages[0]) == {ids[4]}
    await slow.finish()
    assert slow.documents == set(ids)


async def test_every_page_promises_what_its_own_run_brings(
    tenant: TestTenant, writer: SqlWriter
) -> None:
    """Whatever another run of the same `since` has promised, before or after."""
    await writer.insert(*sorted(uuid4() for _ in range(4)))
    crashed = Device(tenant)
    await crashed.turn_page()
    late = await writer.insert_one()
    promised = await writer.last_stamp()
    device = Device(tenant)
    first = await device.turn_page()
    await writer.insert_one()
    pages = [first, *await device.finish()]
    assert {page.server_time for page in pages} == {promised}
    assert late in device.documents


async def test_users_do_not_share_their_pages(tenant: TestTenant, writer: SqlWriter) -> None:
    await writer.insert(*(uuid4() for _ in range(4)))
    page = await pull(tenant.viewer, since=BEGINNING, page=1, per_page=2)
    assert page.next_page is not None
    answer = await ask(tenant.admin, since=BEGINNING, page=page.next_page, per_page=2)
    problem_of(answer, 410, "cursor_expired")


@pytest.mark.parametrize(
    "other",
    [{"page": FIRST_DRAWN}, {"since": "1970-01-01T00:00:01Z"}, {"include_deleted": False}],
    ids=["number", "since", "filters"],
)
async def test_a_page_that_no_answer_gave(
    tenant: TestTenant, writer: SqlWriter, other: dict[str, str | int | bool]
) -> None:
    await writer.insert(*(uuid4() for _ in range(6)))
    first = await pull(tenant.viewer, since=BEGINNING, page=1, per_page=2)
    assert first.next_page is not None
    known: dict[str, str | int | bool] = {
        "since": BEGINNING,
        "page": first.next_page,
        "per_page": 2,
    }
    problem = problem_of(await ask(tenant.viewer, **(known | other)), 410, "cursor_expired")
    assert problem.reason == "page_forgotten"
    assert "page=1" in problem.detail
    assert "sync_token" in problem.detail
    assert len(added(await pull(tenant.viewer, **known))) == 2  # it is still there


async def test_collected_tombstones_expire_numbered_pages_too(
    tenant: TestTenant, writer: SqlWriter
) -> None:
    await writer.insert_one()
    device = Device(tenant)
    device.since = format_time(await writer.last_stamp())
    ids = [uuid4() for _ in range(4)]
    await writer.insert(*ids)
    page = await device.turn_page()
    await writer.delete(*ids)
    await writer.collect_tombstones()
    assert page.next_page is not None
    query: dict[str, str | int] = {"since": device.since, "page": page.next_page, "per_page": 2}
    problem = problem_of(await ask(tenant.viewer, **query), 410, "cursor_expired")
    assert problem.reason == "tombstones_collected"


@pytest.mark.parametrize("since", ["1970-01-01T00:00:00Z", "1970-01-01T02:00:00+02:00"])
async def test_a_time_is_the_same_however_it_is_written(
    tenant: TestTenant, writer: SqlWriter, since: str
) -> None:
    await writer.insert(*(uuid4() for _ in range(3)))
    first = await pull(tenant.viewer, since=since, page=1, per_page=2)
    assert first.next_page is not None
    page = await pull(tenant.viewer, since=BEGINNING, page=first.next_page, per_page=2)
    assert len(page.added) == 1
