"""When a cursor has expired, and what a client then does."""

from datetime import datetime, timedelta
from uuid import uuid4

import pytest

from fixtures.pulling import BEGINNING, Parameter, Replica, added, ask, deleted, problem_of, pull
from fixtures.service import TestTenant
from fixtures.writing import MakeWriter, SqlWriter
from syncapi.protocol.base import format_time

COLLECTED, LOST = "tombstones_collected", "history_lost"


@pytest.fixture
async def writer(tenant: TestTenant, make_writer: MakeWriter) -> SqlWriter:
    return await make_writer(tenant.id)


async def expired(tenant: TestTenant, reason: str, **query: Parameter) -> None:
    problem = problem_of(await ask(tenant.viewer, **query), 410, "cursor_expired")
    assert problem.reason == reason
    assert f"since={BEGINNING}" in problem.detail  # the way out
    assert ("push it again" in problem.detail) is (reason == LOST)


async def test_a_cursor_from_before_collected_tombstones(
    tenant: TestTenant, writer: SqlWriter
) -> None:
    kept, gone = uuid4(), uuid4()
    await writer.insert(kept, gone)
    stamp = format_time(await writer.last_stamp())
    replica = Replica(tenant.viewer)
    await replica.pull_run()
    await writer.delete(gone)
    assert await writer.collect_tombstones() == 1
    assert replica.token is not None
    await expired(tenant, COLLECTED, cursor=replica.token)
    await expired(tenant, COLLECTED, since=stamp)
    # The way out: again from the beginning, and what does not come is no more.
    fresh = Replica(tenant.viewer)
    await fresh.pull_run()
    assert fresh.documents == await writer.live()


async def test_a_cursor_that_has_read_the_tombstones_goes_on(
    tenant: TestTenant, writer: SqlWriter
) -> None:
    gone = await writer.insert_one()
    replica = Replica(tenant.viewer)
    await replica.pull_run()
    await writer.delete(gone)
    assert deleted((await replica.pull_run())[0]) == {gone}
    await writer.collect_tombstones()
    late = await writer.insert_one()
    assert added((await replica.pull_run())[0]) == {late}


async def test_collecting_nothing_expires_nothing(tenant: TestTenant, writer: SqlWriter) -> None:
    await writer.insert_one()
    replica = Replica(tenant.viewer)
    await replica.pull_run()
    await writer.insert_one()
    assert await writer.collect_tombstones() == 0
    await replica.pull_run()
    assert replica.documents == await writer.live()


async def test_the_floor_counts_inside_a_stamp(tenant: TestTenant, writer: SqlWriter) -> None:
    """The page ended between two tombstones of one stamp, and the other one was collected."""
    first, second = sorted(uuid4() for _ in range(2))
    await writer.insert(first, second)
    replica = Replica(tenant.viewer)
    await replica.pull_run()
    await writer.delete(first, second)
    page = await replica.pull_page(per_page=1)
    assert deleted(page) == {first}
    await writer.collect_tombstones()
    await expired(tenant, COLLECTED, cursor=page.sync_token)


async def test_the_floor_is_exact_for_a_time(tenant: TestTenant, writer: SqlWriter) -> None:
    await writer.insert_one()
    gone = await writer.insert_one()
    await writer.delete(gone)
    floor = await writer.last_stamp()
    await writer.collect_tombstones()
    await expired(tenant, COLLECTED, since=format_time(floor - timedelta(microseconds=1)))
    await pull(tenant.viewer, since=format_time(floor))


async def test_a_first_run_is_not_disturbed_by_collecting(
    tenant: TestTenant, writer: SqlWriter
) -> None:
    first, second, third = sorted(uuid4() for _ in range(3))
    await writer.insert(first, second, third)
    replica = Replica(tenant.viewer)
    await replica.pull_page(per_page=1)
    await writer.delete(second)
    await writer.collect_tombstones()
    rest = await replica.pull_run(per_page=1)
    assert set().union(*map(added, rest)) == {third}
    # It was never told of `second`, but it might have been: its next run says so.
    await expired(tenant, COLLECTED, cursor=rest[-1].sync_token)


async def test_a_cursor_ahead_of_the_feed(tenant: TestTenant, writer: SqlWriter) -> None:
    """A standby that lags and was promoted: the client has seen what it does not know."""
    await writer.insert_one()
    before: datetime = await writer.last_stamp()
    await writer.insert_one()
    replica = Replica(tenant.viewer)
    await replica.pull_run()
    await _fork(writer)
    await writer.connection.execute(
        "UPDATE tenant_clock SET last = $2 WHERE tenant_id = $1", tenant.id, before
    )
    assert replica.token is not None
    await expired(tenant, LOST, cursor=replica.token)


async def _fork(writer: SqlWriter) -> None:
    """As a promotion does: the next write notes that the history before was another one."""
    await writer.connection.execute(
        "UPDATE tenant_clock SET place = 'the old primary' WHERE tenant_id = $1",
        writer.tenant_id,
    )


async def test_after_a_failover_what_both_histories_share_goes_on(
    tenant: TestTenant, writer: SqlWriter
) -> None:
    await _open_on_the_old_primary(writer)
    replica = Replica(tenant.viewer)
    await replica.pull_run()
    late = await writer.insert_one()
    assert added((await replica.pull_run())[0]) == {late}
    assert replica.documents == await writer.live()


async def test_after_a_failover_a_run_goes_on_to_its_end(
    tenant: TestTenant, writer: SqlWriter
) -> None:
    await _open_on_the_old_primary(writer)
    replica = Replica(tenant.viewer)
    assert (await replica.pull_page(per_page=1)).has_more
    late = await writer.insert_one()
    rest = await replica.pull_run(per_page=1)
    assert late not in set().union(*map(added, rest))
    assert added((await replica.pull_run())[0]) == {late}
    assert replica.documents == await writer.live()


async def test_after_a_failover_a_page_that_was_read_beyond_the_fork_expires(
    tenant: TestTenant, writer: SqlWriter
) -> None:
    """What it did not show because it stood further on is back behind the page's position."""
    await writer.insert(uuid4(), uuid4(), uuid4())
    shared = await writer.last_stamp()
    await _fork(writer)
    replica = Replica(tenant.viewer)
    await replica.pull_page(per_page=1)
    further = "UPDATE tenant_clock SET last = last + interval '1 s' WHERE tenant_id = $1"
    await writer.connection.execute(further, tenant.id)
    page = await replica.pull_page(per_page=1)
    assert page.has_more
    back = "UPDATE tenant_clock SET last = $2 WHERE tenant_id = $1"
    await writer.connection.execute(back, tenant.id, shared)
    await writer.insert_one()
    await expired(tenant, LOST, cursor=page.sync_token)


async def test_after_a_failover_what_only_the_lost_history_had_expires(
    tenant: TestTenant, writer: SqlWriter
) -> None:
    await writer.insert_one()
    shared = await writer.last_stamp()
    await writer.insert_one()
    await _fork(writer)
    replica = Replica(tenant.viewer)
    await replica.pull_run()
    await writer.connection.execute(
        "UPDATE tenant_clock SET last = $2 WHERE tenant_id = $1", tenant.id, shared
    )
    await writer.insert_one()  # the first write on the new primary
    assert replica.token is not None
    await expired(tenant, LOST, cursor=replica.token)


async def _open_on_the_old_primary(writer: SqlWriter) -> None:
    await writer.insert(uuid4(), uuid4(), uuid4())
    await _fork(writer)


async def test_voided_cursors(tenant: TestTenant, writer: SqlWriter) -> None:
    void = "SELECT feed.void_cursors()"  # of every tenant in this worker's database
    replica = Replica(tenant.viewer)
    await writer.insert(uuid4(), uuid4())
    page = await replica.pull_page(per_page=1)
    end = (await replica.pull_run())[-1]
    await writer.connection.execute(void)
    await expired(tenant, LOST, cursor=page.sync_token)
    await expired(tenant, LOST, cursor=end.sync_token)
    fresh = Replica(tenant.viewer)
    await fresh.pull_run()
    assert fresh.documents == await writer.live()
    await writer.connection.execute(void)
    await expired(tenant, LOST, cursor=fresh.token or "")


async def test_a_time_from_before_a_void(tenant: TestTenant, writer: SqlWriter) -> None:
    """Also one from before the tenant's first stamp, and one from a clock that was ahead."""
    await writer.insert_one()
    last = await writer.last_stamp()
    times = [format_time(last + timedelta(minutes=minutes)) for minutes in (-100_000, 0, 59)]
    await pull(tenant.viewer, since=times[0])
    await writer.connection.execute("SELECT feed.void($1)", tenant.id)
    for time in times:
        await expired(tenant, LOST, since=time)
    replica = Replica(tenant.viewer)
    page = (await replica.pull_run())[-1]
    assert replica.documents == await writer.live()
    assert page.server_time > last + timedelta(minutes=59)
    late = await writer.insert_one()
    assert added(await pull(tenant.viewer, since=format_time(page.server_time))) == {late}


async def test_what_is_lost_outdoes_what_is_collected(
    tenant: TestTenant, writer: SqlWriter
) -> None:
    """A client that took it for deleted would drop what only it still has."""
    gone = await writer.insert_one()
    replica = Replica(tenant.viewer)
    await replica.pull_run()
    await writer.delete(gone)
    await writer.collect_tombstones()
    await expired(tenant, COLLECTED, cursor=replica.token or "")
    await writer.connection.execute("SELECT feed.void_cursors()")
    await expired(tenant, LOST, cursor=replica.token or "")
