"""Clients of the timestamp protocol that count the pages by themselves: 1, 2, 3, …

The server keeps nothing for them, so each page brings again what the pages before it brought.
"""

from uuid import UUID, uuid4

import pytest

from fixtures.pulling import BEGINNING, Parameter, added, ask, deleted, modified, problem_of, pull
from fixtures.service import TestTenant
from fixtures.writing import MakeWriter, SqlWriter
from soak.replica import ByTime, Disk
from syncapi.protocol.base import format_time
from syncapi.protocol.sync import SyncPage


@pytest.fixture
async def writer(tenant: TestTenant, make_writer: MakeWriter) -> SqlWriter:
    return await make_writer(tenant.id)


class Counter:
    """A client that asks for the next number while there is more."""

    def __init__(self, tenant: TestTenant, *, since: str = BEGINNING, **query: Parameter) -> None:
        self._client = tenant.viewer
        self._query: dict[str, Parameter] = {"since": since, "per_page": 2, **query}
        self.page = 0
        self.documents: set[UUID] = set()

    async def turn_page(self) -> SyncPage:
        self.page += 1
        page = await pull(self._client, **self._query, page=self.page)
        self.take(page)
        return page

    def take(self, page: SyncPage) -> None:
        self.documents |= added(page) | modified(page)
        self.documents -= deleted(page)

    async def finish(self) -> SyncPage:
        page = await self.turn_page()
        while page.has_more:
            page = await self.turn_page()
        return page


async def test_a_page_brings_those_before_it_again(tenant: TestTenant, writer: SqlWriter) -> None:
    ids = sorted(uuid4() for _ in range(5))
    await writer.insert(*ids)
    client = Counter(tenant)
    for rows in (2, 4, 5):
        page = await client.turn_page()
        assert [document.id for document in page.added] == ids[:rows]
        assert page.has_more is (rows < 5)


@pytest.mark.parametrize("promise", ["of the first page", "of the last page"])
async def test_nothing_is_missed_while_documents_move(
    tenant: TestTenant, writer: SqlWriter, promise: str
) -> None:
    ids = sorted(uuid4() for _ in range(8))
    await writer.insert(*ids)
    client = Counter(tenant)
    first = await client.turn_page()
    await writer.touch(*ids[:2])  # with OFFSET the third and fourth would be skipped
    await client.turn_page()
    await writer.touch(*ids[2:5])
    late = await writer.insert_one()
    last = await client.finish()
    assert client.documents == {*ids, late}
    server_time = first.server_time if promise == "of the first page" else last.server_time
    latest = await writer.insert_one()
    await writer.delete(ids[7])
    next_run = Counter(tenant, since=format_time(server_time))
    next_run.documents = client.documents
    await next_run.finish()
    assert next_run.documents == set(await writer.live())
    assert latest in next_run.documents


async def test_what_an_earlier_page_of_a_first_run_brought_is_said_to_be_deleted(
    tenant: TestTenant, writer: SqlWriter
) -> None:
    """By `server_time` the next run begins behind that deletion."""
    ids = sorted(uuid4() for _ in range(5))
    await writer.insert(*ids)
    client = Counter(tenant)
    await client.turn_page()
    await writer.delete(ids[0])
    await writer.erase(ids[1])
    last = await client.finish()
    assert client.documents == set(ids[2:])
    rest = await pull(tenant.viewer, since=format_time(last.server_time))
    assert not added(rest) | modified(rest) | deleted(rest)


async def test_the_last_page_of_a_first_run_is_the_whole(
    tenant: TestTenant, writer: SqlWriter
) -> None:
    """Also where deletions of meanwhile are listed no more: what it does not bring is gone."""
    ids = sorted(uuid4() for _ in range(5))
    await writer.insert(*ids)
    start = ByTime(takes_first=False, counts=True, page_size=2)
    disk = Disk(start, start)
    while disk.complete_to is None:
        answer = await ask(tenant.viewer, **disk.progress.query())
        disk = disk.with_page(answer.json()["data"])
        if len(disk.documents) == 2:
            await writer.delete(ids[0])
            await writer.collect_tombstones()
    assert disk.documents.keys() == set(ids[1:])


@pytest.mark.parametrize("way", ["by its number", "by its cursor"])
async def test_who_goes_on_otherwise_hears_of_deletions_too(
    tenant: TestTenant, writer: SqlWriter, way: str
) -> None:
    ids = sorted(uuid4() for _ in range(9))
    await writer.insert(*ids)
    client = Counter(tenant)
    await client.turn_page()
    await writer.delete(ids[0])
    page = await client.turn_page()
    while page.has_more:
        where: dict[str, Parameter] = {"cursor": page.sync_token}
        if way == "by its number":
            assert page.next_page is not None
            where = {"since": BEGINNING, "page": page.next_page}
        page = await pull(tenant.viewer, **where, per_page=2)
        assert len(page.added) + len(page.deleted) <= 2  # nothing is repeated any more
        client.take(page)
    assert client.documents == set(ids[1:])
    await writer.delete(ids[1])
    client.take(await pull(tenant.viewer, cursor=page.sync_token))
    assert client.documents == set(ids[2:])


async def test_deletions_that_are_not_wanted_do_not_count(
    tenant: TestTenant, writer: SqlWriter
) -> None:
    gone, ids = [uuid4() for _ in range(4)], sorted(uuid4() for _ in range(4))
    await writer.insert(*gone)
    await writer.delete(*gone)
    await writer.insert(*ids)
    client = Counter(tenant, include_deleted=False)
    pages = [await client.turn_page() for _ in range(2)]
    assert [[document.id for document in page.added] for page in pages] == [ids[:2], ids]
    assert [page.has_more for page in pages] == [True, False]
    assert not any(page.deleted for page in pages)


async def test_deletions_of_later_runs_count_as_rows(
    tenant: TestTenant, writer: SqlWriter
) -> None:
    ids = sorted(uuid4() for _ in range(4))
    await writer.insert(*ids)
    since = format_time(await writer.last_stamp())
    await writer.delete(*ids[:3])
    await writer.touch(ids[3])
    client = Counter(tenant, since=since)
    first = await client.turn_page()
    assert deleted(first) == set(ids[:2])
    second = await client.turn_page()
    assert deleted(second) == set(ids[:3])
    assert modified(second) == {ids[3]}
    assert not second.has_more


@pytest.mark.parametrize(("page", "per_page"), [(11, 500), (5001, 1), (999_999, 1)])
async def test_who_counts_on_is_shown_the_way_out(
    tenant: TestTenant, page: int, per_page: int
) -> None:
    query: dict[str, Parameter] = {"since": BEGINNING, "page": page, "per_page": per_page}
    problem = problem_of(await ask(tenant.viewer, **query), 400, "invalid_request")
    assert [error.field for error in problem.errors] == ["page"]
    assert "next_page" in problem.detail
    assert "cursor" in problem.detail


@pytest.mark.parametrize(("page", "per_page"), [(10, 500), (5000, 1), (1, 500)])
async def test_so_far_may_be_counted(
    tenant: TestTenant, writer: SqlWriter, page: int, per_page: int
) -> None:
    only = await writer.insert_one()
    found = await pull(tenant.viewer, since=BEGINNING, page=page, per_page=per_page)
    assert added(found) == {only}
    assert found.next_page is None


async def test_tombstones_collected_since_are_noticed(
    tenant: TestTenant, writer: SqlWriter
) -> None:
    await writer.insert_one()
    since = format_time(await writer.last_stamp())
    ids = [uuid4() for _ in range(4)]
    await writer.insert(*ids)
    await Counter(tenant, since=since).turn_page()
    await writer.delete(*ids)
    await writer.collect_tombstones()
    answer = await ask(tenant.viewer, since=since, page=2, per_page=2)
    assert problem_of(answer, 410, "cursor_expired").reason == "tombstones_collected"


async def test_a_device_that_counts_does_not_push_out_another(
    tenant: TestTenant, writer: SqlWriter
) -> None:
    ids = sorted(uuid4() for _ in range(100))
    await writer.insert(*ids)
    first = await pull(tenant.viewer, since=BEGINNING, per_page=2)
    assert first.next_page is not None
    await Counter(tenant, per_page=1).finish()
    second = await pull(tenant.viewer, since=BEGINNING, page=first.next_page, per_page=2)
    assert added(second) == set(ids[2:4])
