"""What a pull refuses, in words that name the parameter and the way out."""

from datetime import UTC, datetime, timedelta

import pytest

from fixtures.pulling import BEGINNING, Parameter, added, ask, page_of, problem_of, pull
from fixtures.service import MakeTenant, TestTenant
from fixtures.writing import MakeWriter
from syncapi.protocol.base import format_time
from syncapi.protocol.problems import Problem
from syncapi.server.domain.cursor import CURSOR_LENGTH

_CURSOR = "A" * CURSOR_LENGTH


async def refused(tenant: TestTenant, **query: Parameter) -> Problem:
    return problem_of(await ask(tenant.viewer, **query), 400, "invalid_request")


def fields(problem: Problem) -> list[str]:
    return [error.field for error in problem.errors]


async def test_neither_since_nor_cursor(tenant: TestTenant) -> None:
    problem = await refused(tenant)
    assert fields(problem) == ["since"]
    assert "`cursor`" in problem.detail


async def test_both_since_and_cursor(tenant: TestTenant) -> None:
    assert fields(await refused(tenant, since=BEGINNING, cursor=_CURSOR)) == ["since", "cursor"]


async def test_a_page_of_a_cursor(tenant: TestTenant) -> None:
    assert fields(await refused(tenant, cursor=_CURSOR, page=2)) == ["page"]


async def test_a_since_beyond_the_leeway_is_in_the_future(tenant: TestTenant) -> None:
    problem = await refused(tenant, since=format_time(datetime.now(UTC) + timedelta(seconds=90)))
    assert fields(problem) == ["since"]
    assert "future" in problem.detail


async def test_a_clock_that_is_a_little_ahead_is_forgiven(tenant: TestTenant) -> None:
    await pull(tenant.viewer, since=format_time(datetime.now(UTC) + timedelta(seconds=30)))


async def test_what_the_server_gave_is_never_in_the_future(
    tenant: TestTenant, make_writer: MakeWriter
) -> None:
    """As when the database's clock is, or was, far ahead of the service's."""
    writer = await make_writer(tenant.id)
    await writer.insert_one()
    ahead = "UPDATE tenant_clock SET last = last + interval '2 hours' WHERE tenant_id = $1"
    await writer.connection.execute(ahead, tenant.id)
    first = await writer.insert_one()
    page = await pull(tenant.viewer, since=BEGINNING)
    assert page.server_time > datetime.now(UTC) + timedelta(hours=1)
    assert added(await pull(tenant.viewer, since=format_time(page.server_time))) == set()
    second = await writer.insert_one()
    assert added(await pull(tenant.viewer, since=format_time(page.server_time))) == {second}
    assert first in added(page)
    too_far = page.server_time + timedelta(seconds=90)
    assert fields(await refused(tenant, since=format_time(too_far))) == ["since"]


@pytest.mark.parametrize("since", ["9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59-23:59"])
async def test_the_end_of_the_calendar_is_in_the_future_or_no_time(
    tenant: TestTenant, since: str
) -> None:
    assert fields(await refused(tenant, since=since)) == ["since"]


@pytest.mark.parametrize(
    "since",
    [
        "1970-01-01T00:00:00Z",
        "1970-01-01t00:00:00z",
        "2001-02-03T04:05:06.7Z",
        "2001-02-03T04:05:06.123456789Z",
        "2001-02-03T04:05:06-11:30",
        "2001-02-03T04:05:06+14:00",
        "2001-02-03T04:05:06.000007+0000",
        "0001-01-01T00:00:00Z",
    ],
)
async def test_times_that_are_understood(tenant: TestTenant, since: str) -> None:
    await pull(tenant.viewer, since=since)


@pytest.mark.parametrize(
    "since",
    [
        "",
        " ",
        "yesterday",
        "0",
        "1700000000",
        "1.7e9",
        "2026-01-01",
        "2026-01-01T00:00:00",  # no offset: nobody knows when that is
        "2026-01-01 00:00:00Z",
        "20260101T000000Z",
        "2026-13-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "2026-01-01T25:00:00Z",
        "2026-01-01T00:00:00+25:00",
        "0001-01-01T00:00:00+01:00",
        "\N{ARABIC-INDIC DIGIT TWO}026-01-01T00:00:00Z",
        "2026-01-01T00:00:00Z\x00",
        "2026-01-01T00:00:00Z; DROP TABLE documents",
        "9" * 5000,
    ],
)
async def test_times_that_are_not(tenant: TestTenant, since: str) -> None:
    assert fields(await refused(tenant, since=since)) == ["since"]


async def test_a_plus_that_was_not_encoded_is_recognised(tenant: TestTenant) -> None:
    answer = await tenant.viewer.get("/documents/sync?since=2026-01-01T00:00:00+01:00")
    problem = problem_of(answer, 400, "invalid_request")
    assert "%2B" in problem.errors[0].message
    encoded = await tenant.viewer.get("/documents/sync?since=2026-01-01T00:00:00%2B01:00")
    page_of(encoded)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("per_page", ["0", "-1", "501", "1.5", "many", "", "1e2", "9" * 30]),
        ("page", ["0", "-1", "1.5", "first", "", "1000000001", "9" * 30]),
        ("include_deleted", ["", "maybe", "2", "nope"]),
        ("include_urls", ["", "maybe", "2", "nope"]),
    ],
)
async def test_values_out_of_range(tenant: TestTenant, name: str, wrong: list[str]) -> None:
    for value in wrong:
        problem = await refused(tenant, since=BEGINNING, **{name: value})
        assert fields(problem) == [name], value


@pytest.mark.parametrize("per_page", [1, 500])
async def test_the_ends_of_the_range(tenant: TestTenant, per_page: int) -> None:
    await pull(tenant.viewer, since=BEGINNING, per_page=per_page)


async def test_a_misspelt_parameter_is_not_ignored(tenant: TestTenant) -> None:
    problem = await refused(tenant, since=BEGINNING, include_delete=False)
    assert fields(problem) == ["include_delete"]
    assert "include_deleted" in problem.errors[0].message


async def test_every_unknown_parameter_is_named(tenant: TestTenant) -> None:
    problem = await refused(tenant, since=BEGINNING, limit=5, offset=3)
    assert fields(problem) == ["limit", "offset"]


async def test_a_repeated_parameter_is_not_half_read(tenant: TestTenant) -> None:
    twice = f"since={BEGINNING}&since={BEGINNING}"
    answer = await tenant.viewer.get(f"/documents/sync?{twice}")
    assert fields(problem_of(answer, 400, "invalid_request")) == ["since"]


async def test_names_are_case_sensitive(tenant: TestTenant) -> None:
    assert "Since" in fields(await refused(tenant, Since=BEGINNING))


async def refused_cursor(
    tenant: TestTenant, cursor: str, query: dict[str, Parameter] | None = None
) -> Problem:
    """A cursor that is refused as one, with the way out."""
    answer = await ask(tenant.viewer, cursor=cursor, **(query or {}))
    problem = problem_of(answer, 400, "invalid_cursor")
    assert fields(problem) == ["cursor"]
    assert "`since`" in problem.detail
    return problem


@pytest.mark.parametrize(
    "cursor", ["", "x", _CURSOR, "é" * 9, "%00", "..", "null", "A" * (CURSOR_LENGTH - 1)]
)
async def test_what_is_no_cursor(tenant: TestTenant, cursor: str) -> None:
    await refused_cursor(tenant, cursor)


async def test_what_is_too_long_for_a_cursor(tenant: TestTenant) -> None:
    assert fields(await refused(tenant, cursor=_CURSOR + "A")) == ["cursor"]


async def test_an_altered_cursor(tenant: TestTenant) -> None:
    token = (await pull(tenant.viewer, since=BEGINNING)).sync_token
    await pull(tenant.viewer, cursor=token)
    for at in (0, 1, 2, 20, 60, CURSOR_LENGTH - 5):
        other = "A" if token[at] != "A" else "B"
        await refused_cursor(tenant, token[:at] + other + token[at + 1 :])


async def test_the_cursor_of_another_tenant(tenant: TestTenant, make_tenant: MakeTenant) -> None:
    other = await make_tenant()
    token = (await pull(other.viewer, since=BEGINNING)).sync_token
    await refused_cursor(tenant, token)


async def test_a_cursor_serves_every_member_of_its_tenant(tenant: TestTenant) -> None:
    token = (await pull(tenant.viewer, since=BEGINNING)).sync_token
    await pull(tenant.admin, cursor=token)


@pytest.mark.parametrize("first", [True, False])
async def test_a_cursor_of_other_filters(tenant: TestTenant, *, first: bool) -> None:
    page = await pull(tenant.viewer, since=BEGINNING, include_deleted=first)
    problem = await refused_cursor(tenant, page.sync_token, {"include_deleted": not first})
    assert "include_deleted" in problem.detail
    await pull(tenant.viewer, cursor=page.sync_token, include_deleted=first)
