"""A run, a page at a time: where pages end, where they go on, and when the run is over."""

import random
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from fixtures.pulling import BEGINNING, Replica, added, deleted, modified, pull
from fixtures.service import TestTenant
from fixtures.writing import MakeWriter, SqlWriter
from syncapi.protocol.base import format_time


@pytest.fixture
async def writer(tenant: TestTenant, make_writer: MakeWriter) -> SqlWriter:
    return await make_writer(tenant.id)


@pytest.fixture
def replica(tenant: TestTenant) -> Replica:
    return Replica(tenant.viewer)


async def test_a_page_may_end_inside_a_stamp(replica: Replica, writer: SqlWriter) -> None:
    ids = [uuid4() for _ in range(7)]
    await writer.insert(*ids)  # one statement, one stamp
    pages = await replica.pull_run(per_page=3)
    assert [len(page.added) for page in pages] == [3, 3, 1]
    told = [document.id for page in pages for document in page.added]
    assert told == sorted(ids)  # within a stamp by id, each once


async def test_stamps_rise_from_page_to_page(replica: Replica, writer: SqlWriter) -> None:
    for _ in range(3):
        await writer.insert(*(uuid4() for _ in range(3)))
    pages = await replica.pull_run(per_page=2)
    places = [(d.updated_at, d.id) for page in pages for d in page.added]
    assert places == sorted(places)
    assert len(places) == 9


@pytest.mark.parametrize(("count", "sizes"), [(3, [2, 1]), (4, [2, 2]), (2, [2]), (1, [1])])
async def test_has_more_is_exact(
    replica: Replica, writer: SqlWriter, count: int, sizes: list[int]
) -> None:
    """No empty page at the end, and none without `has_more` before it."""
    await writer.insert(*(uuid4() for _ in range(count)))
    pages = await replica.pull_run(per_page=2)
    assert [len(page.added) for page in pages] == sizes
    assert [page.has_more for page in pages] == [True] * (len(sizes) - 1) + [False]


async def test_cursors_have_no_page_number(replica: Replica, writer: SqlWriter) -> None:
    await writer.insert(uuid4(), uuid4())
    await replica.pull_page(per_page=1)
    later = await pull(replica.client, cursor=replica.token or "", per_page=1)
    assert later.next_page is None


async def test_each_token_goes_on_where_its_page_ended(
    tenant: TestTenant, writer: SqlWriter
) -> None:
    """A client that crashed before it stored a page asks again, and gets the same."""
    await writer.insert(*(uuid4() for _ in range(4)))
    first = await pull(tenant.viewer, since=BEGINNING, per_page=2)
    again = [await pull(tenant.viewer, cursor=first.sync_token, per_page=2) for _ in range(2)]
    assert added(again[0]) == added(again[1])
    assert again[0].sync_token == again[1].sync_token


async def test_the_size_of_pages_may_change_within_a_run(
    replica: Replica, writer: SqlWriter
) -> None:
    ids = {uuid4() for _ in range(6)}
    await writer.insert(*ids)
    pages = [await replica.pull_page(per_page=size) for size in (1, 3, 500)]
    assert [len(page.added) for page in pages] == [1, 3, 2]
    assert set(replica.documents) == ids


async def test_a_run_ends_though_writing_goes_on(replica: Replica, writer: SqlWriter) -> None:
    first, second, third = sorted(uuid4() for _ in range(3))
    await writer.insert(first, second, third)
    page = await replica.pull_page(per_page=1)
    pages = 1
    while page.has_more:
        late = await writer.insert_one()
        page = await replica.pull_page(per_page=1)
        pages += 1
        assert late not in added(page)
    assert pages == 3
    await replica.pull_run()
    assert replica.documents == await writer.live()


async def test_one_that_changes_between_pages_comes_in_the_next_run(
    replica: Replica, writer: SqlWriter
) -> None:
    first, second, third = sorted(uuid4() for _ in range(3))
    await writer.insert(first, second, third)
    await replica.pull_page(per_page=1)
    await writer.touch(first)  # told already
    await writer.touch(second)  # not told yet: it moves behind the bound of this run
    rest = await replica.pull_run(per_page=1)
    assert [added(page) for page in rest] == [{third}]
    next_run = await replica.pull_run()
    # It appeared before the run's base, though the client sees it first now: only a hint.
    assert added(next_run[0]) | modified(next_run[0]) == {first, second}
    assert replica.documents == await writer.live()


async def test_a_run_whose_rest_moved_away_ends_with_an_empty_page(
    replica: Replica, writer: SqlWriter
) -> None:
    first, second = sorted(uuid4() for _ in range(2))
    await writer.insert(first, second)
    await replica.pull_page(per_page=1)
    await writer.touch(second)
    page = await replica.pull_page(per_page=1)
    assert (page.added, page.modified, page.has_more) == ([], [], False)
    await replica.pull_run()
    assert replica.documents == await writer.live()


async def test_tombstones_count_as_rows(replica: Replica, writer: SqlWriter) -> None:
    ids = sorted(uuid4() for _ in range(4))
    await writer.insert(*ids)
    await replica.pull_run()
    await writer.delete(*ids)
    pages = await replica.pull_run(per_page=3)
    assert [len(page.deleted) for page in pages] == [3, 1]
    assert set().union(*map(deleted, pages)) == set(ids)


async def test_server_time_is_what_the_run_is_complete_to(
    tenant: TestTenant, writer: SqlWriter
) -> None:
    """A client of the timestamp protocol takes it, from any page, for its next `since`."""
    await writer.insert(uuid4(), uuid4())
    stamp = await writer.last_stamp()
    first = await pull(tenant.viewer, since=BEGINNING, per_page=1)
    assert first.server_time == stamp
    late = await writer.insert_one()
    second = await pull(tenant.viewer, cursor=first.sync_token, per_page=1)
    assert second.server_time == stamp
    assert added(await pull(tenant.viewer, since=format_time(stamp))) == {late}


async def test_the_token_of_an_empty_run_changes_nothing(
    replica: Replica, writer: SqlWriter
) -> None:
    await writer.insert_one()
    await replica.pull_run()
    at_rest = replica.token
    for _ in range(3):
        await replica.pull_run()
    assert replica.token == at_rest
    late = await writer.insert_one()
    assert added((await replica.pull_run())[0]) == {late}


async def test_a_since_of_now_begins_with_what_comes(
    tenant: TestTenant, writer: SqlWriter
) -> None:
    """A stamp may be older than the client's clock says: the token begins at the head."""
    await writer.insert_one()
    page = await pull(tenant.viewer, since=format_time(datetime.now(UTC)))
    assert page.added == []
    late = await writer.insert_one()
    assert added(await pull(tenant.viewer, cursor=page.sync_token)) == {late}


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_is_written_between_pages_replicas_agree_at_rest(
    tenant: TestTenant, writer: SqlWriter, seed: int
) -> None:
    chance = random.Random(seed)
    ids = [uuid4() for _ in range(12)]
    replicas = [Replica(tenant.viewer) for _ in range(2)]
    verbs = (
        _insert_missing,
        SqlWriter.touch,
        SqlWriter.delete,
        SqlWriter.undelete,
        SqlWriter.erase,
    )
    for _ in range(40):
        await chance.choice(verbs)(writer, *chance.sample(ids, chance.randint(1, 5)))
        await chance.choice(replicas).pull_page(per_page=chance.randint(1, 4))
    for replica in replicas:
        await replica.pull_run(per_page=2)
        await replica.pull_run(per_page=2)
        assert replica.documents == await writer.live()


async def _insert_missing(writer: SqlWriter, *ids: UUID) -> None:
    known = await writer.connection.fetch(
        "SELECT id FROM documents WHERE tenant_id = $1", writer.tenant_id
    )
    await writer.insert(*set(ids).difference(UUID(str(row["id"])) for row in known))
