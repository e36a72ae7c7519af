"""The rules of a run: where it begins, how far it goes, what it refuses, what is *added*."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest

from syncapi.server.domain.cursor import LAST_ID, Cursor, CursorKind, Position
from syncapi.server.domain.errors import CursorExpired, ExpiryReason, InvalidCursor
from syncapi.server.domain.feed import (
    BEGUN,
    NEVER,
    Head,
    Start,
    begin,
    from_micros,
    is_idle,
    to_micros,
)

HERE = b"lineage1"
BEFORE = b"lineage0"
ELSEWHERE = b"lineageX"
SOME_ID = UUID(int=7)
FILTERS = 1

_EARLIEST = datetime.min.replace(tzinfo=UTC)
_LATEST = datetime.max.replace(tzinfo=UTC)

HEAD = Head(
    last=1000,
    opened_at=100,
    lineage=HERE,
    tombstone_floor=0,
    voided_at=0,
)
FORKED = replace(HEAD, forked_at=600)
"""As it is read for a cursor of the history before."""


def at_page(
    time: int,
    *,
    upper: int = 900,
    base: int = 300,
    lineage: bytes = HERE,
    seen: int | None = None,
) -> Start:
    """Behind a row in the middle of a stamp, in the middle of a run."""
    position = Position(time, SOME_ID)
    cursor = Cursor(CursorKind.PAGE, FILTERS, lineage, base, upper, seen or upper, position)
    return Start.at(cursor, FILTERS)


def at_token(
    time: int, *, base: int = 300, lineage: bytes = HERE, seen: int | None = None
) -> Start:
    """Behind a run that ended at `time`, its last page read when the head was `seen`."""
    position = Position(time, LAST_ID)
    cursor = Cursor(CursorKind.TOKEN, FILTERS, lineage, base, time, seen or time, position)
    return Start.at(cursor, FILTERS)


class TestTimes:
    def test_they_are_exact_to_the_microsecond(self) -> None:
        # A float of seconds would be off by one here.
        moment = datetime(2026, 11, 23, 9, 30, 0, 123457, UTC)
        assert to_micros(moment) == 1_795_426_200_123_457
        assert from_micros(1_795_426_200_123_457) == moment

    @pytest.mark.parametrize("edge", [_EARLIEST, _LATEST])
    def test_they_reach_to_the_ends_of_the_calendar(self, edge: datetime) -> None:
        assert from_micros(to_micros(edge)) == edge

    def test_the_offset_counts(self) -> None:
        there = datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))
        assert to_micros(there) == to_micros(datetime(2026, 1, 1, tzinfo=UTC))


class TestSince:
    def test_before_the_first_stamp_the_client_holds_nothing(self) -> None:
        run = begin(Start.since(99, FILTERS), HEAD)
        assert run.base == NEVER
        assert not run.tells_deletions

    def test_from_the_first_stamp_on_it_may_hold_something(self) -> None:
        run = begin(Start.since(100, FILTERS), HEAD)
        assert run.base == 100
        assert run.tells_deletions

    def test_everything_stamped_at_the_time_itself_is_behind_it(self) -> None:
        assert Start.since(500, FILTERS).position == Position(500, LAST_ID)

    @pytest.mark.parametrize("moment", [0, -1, to_micros(_EARLIEST)])
    def test_before_1970_it_is_the_epoch(self, moment: int) -> None:
        start = Start.since(moment, FILTERS)
        assert start.position == Position(0, LAST_ID)
        assert begin(start, HEAD).base == NEVER

    def test_a_run_goes_up_to_the_head(self) -> None:
        assert begin(Start.since(500, FILTERS), HEAD).upper == HEAD.last

    @pytest.mark.parametrize("lineage", [HERE, BEFORE, ELSEWHERE])
    def test_a_time_has_no_lineage_to_check(self, lineage: bytes) -> None:
        assert begin(Start.since(500, FILTERS), replace(FORKED, lineage=lineage)).base == 500


class TestCursors:
    def test_a_page_goes_on_in_its_run(self) -> None:
        run = begin(at_page(500, upper=900, base=300), HEAD)
        assert (run.base, run.upper) == (300, 900)

    def test_a_token_starts_the_next_run(self) -> None:
        run = begin(at_token(500, base=300), HEAD)
        assert (run.base, run.upper) == (500, HEAD.last)

    def test_a_first_run_stays_one_on_its_later_pages(self) -> None:
        run = begin(at_page(500, base=NEVER), HEAD)
        assert not run.tells_deletions

    def test_a_first_run_that_is_begun_tells_deletions(self) -> None:
        """An earlier answer may have brought what is deleted by now."""
        run = begin(Start.since(99, FILTERS, is_begun=True), HEAD)
        assert (run.base, run.tells_deletions) == (BEGUN, True)
        within = begin(at_page(500, base=BEGUN), replace(HEAD, tombstone_floor=600))
        assert (within.base, within.tells_deletions) == (BEGUN, True)

    def test_a_later_run_that_is_begun_is_like_another(self) -> None:
        assert begin(Start.since(100, FILTERS, is_begun=True), HEAD).base == 100

    def test_the_run_after_a_first_one_tells_deletions(self) -> None:
        assert begin(at_token(500, base=NEVER), HEAD).tells_deletions

    def test_the_run_after_an_empty_first_one_tells_deletions(self) -> None:
        empty = replace(HEAD, last=100)
        token = begin(Start.since(0, FILTERS), empty).cursor(None)
        assert begin(Start.at(token, FILTERS), HEAD).tells_deletions

    def test_other_filters_are_refused(self) -> None:
        cursor = Cursor(CursorKind.PAGE, 0, HERE, 0, 900, 900, Position(500, SOME_ID))
        with pytest.raises(InvalidCursor, match="include_deleted"):
            Start.at(cursor, 1)

    def test_a_page_is_behind_the_last_row_and_keeps_the_run(self) -> None:
        run = begin(at_page(500), HEAD)
        last_read = Position(700, SOME_ID)
        assert run.cursor(last_read) == Cursor(
            CursorKind.PAGE, FILTERS, HERE, 300, 900, HEAD.last, last_read
        )

    def test_a_token_is_behind_everything_of_the_run(self) -> None:
        token = begin(at_page(500), HEAD).cursor(None)
        assert token == Cursor(
            CursorKind.TOKEN, FILTERS, HERE, 300, 900, HEAD.last, Position(900, LAST_ID)
        )


class TestFloor:
    """Tombstones up to the floor are collected; the floor itself was one of them."""

    @pytest.mark.parametrize(
        ("position", "is_refused"),
        [
            (Position(499, LAST_ID), True),
            (Position(500, SOME_ID), True),  # inside the stamp: its other tombstones are unread
            (Position(500, LAST_ID), False),
            (Position(501, UUID(int=0)), False),
        ],
    )
    @pytest.mark.parametrize("kind", CursorKind)
    def test_it_is_compared_with_the_whole_position(
        self, kind: CursorKind, position: Position, *, is_refused: bool
    ) -> None:
        start = Start.at(Cursor(kind, FILTERS, HERE, 300, 900, 900, position), FILTERS)
        head = replace(HEAD, tombstone_floor=500)
        if is_refused:
            with pytest.raises(CursorExpired, match="since=1970-01-01T00:00:00Z"):
                begin(start, head)
        else:
            begin(start, head)

    def test_it_refuses_times_too(self) -> None:
        head = replace(HEAD, tombstone_floor=500)
        with pytest.raises(CursorExpired):
            begin(Start.since(499, FILTERS), head)
        begin(Start.since(500, FILTERS), head)

    @pytest.mark.parametrize(
        ("time", "reason"),
        [
            (499, ExpiryReason.HISTORY_LOST),  # from before the void: not all of it may be here
            (500, ExpiryReason.TOMBSTONES_COLLECTED),
            (599, ExpiryReason.TOMBSTONES_COLLECTED),
        ],
    )
    def test_a_time_from_before_a_void_is_of_a_history_that_is_lost(
        self, time: int, reason: ExpiryReason
    ) -> None:
        with pytest.raises(CursorExpired) as refusal:
            begin(Start.since(time, FILTERS), replace(HEAD, tombstone_floor=600, voided_at=500))
        assert refusal.value.reason == reason

    def test_it_is_nothing_to_a_client_that_holds_nothing(self) -> None:
        head = replace(HEAD, tombstone_floor=1000)
        begin(Start.since(0, FILTERS), head)
        begin(at_page(500, base=NEVER), head)


class TestLineage:
    @pytest.mark.parametrize("time", [100, 600, 1000])
    def test_on_the_same_history_a_cursor_goes_on(self, time: int) -> None:
        assert begin(at_token(time), HEAD).base == time

    @pytest.mark.parametrize("start", [at_token(1001), at_page(1001, upper=2000)])
    def test_ahead_of_the_head_it_has_seen_what_was_lost(self, start: Start) -> None:
        with pytest.raises(CursorExpired, match="restored or failed over"):
            begin(start, HEAD)

    @pytest.mark.parametrize("time", [100, 599, 600])
    def test_from_before_the_fork_a_cursor_goes_on(self, time: int) -> None:
        run = begin(at_token(time, lineage=BEFORE), FORKED)
        assert (run.base, run.upper, run.lineage) == (time, 1000, HERE)

    @pytest.mark.parametrize("time", [601, 1000])
    def test_from_beyond_the_fork_it_does_not(self, time: int) -> None:
        with pytest.raises(CursorExpired, match="restored or failed over"):
            begin(at_token(time, lineage=BEFORE), FORKED)

    @pytest.mark.parametrize("time", [0, 100, 600])
    def test_an_unknown_history_is_lost(self, time: int) -> None:
        with pytest.raises(CursorExpired, match="restored or failed over"):
            begin(at_token(time, lineage=ELSEWHERE), HEAD)

    def test_a_first_run_over_a_lost_history_is_lost_too(self) -> None:
        with pytest.raises(CursorExpired):
            begin(at_page(500, base=NEVER, lineage=ELSEWHERE), HEAD)

    def test_a_run_keeps_its_bound_over_a_fork(self) -> None:
        """A first run that went on to the head would pass deletions that it is not told."""
        assert begin(at_page(500, upper=550, lineage=BEFORE), FORKED).upper == 550

    @pytest.mark.parametrize(
        "start",
        [
            at_page(500, upper=550, seen=601, lineage=BEFORE),
            at_token(500, seen=601, lineage=BEFORE),
        ],
    )
    def test_a_page_read_beyond_the_fork_is_lost_wherever_it_ended(self, start: Start) -> None:
        """What had moved beyond the fork when it was read is back at its old place, unread."""
        with pytest.raises(CursorExpired, match="restored or failed over"):
            begin(start, FORKED)

    @pytest.mark.parametrize("lineage", [BEFORE, ELSEWHERE])
    def test_what_is_lost_outdoes_what_is_collected(self, lineage: bytes) -> None:
        """A client that took it for deleted would drop what only it still has."""
        head = replace(FORKED if lineage == BEFORE else HEAD, tombstone_floor=900)
        with pytest.raises(CursorExpired) as refusal:
            begin(at_token(700, lineage=lineage), head)
        assert refusal.value.reason == ExpiryReason.HISTORY_LOST


class TestIdle:
    def test_a_run_that_ended_at_the_head_has_nothing_behind_it(self) -> None:
        assert is_idle(at_token(1000), HEAD)

    @pytest.mark.parametrize(
        ("start", "head"),
        [
            (at_token(999), HEAD),  # something came
            (at_token(1001), HEAD),  # something was lost
            (at_token(1000, seen=1001), HEAD),
            (at_token(1000, lineage=ELSEWHERE), HEAD),
            (at_token(1000, lineage=BEFORE), FORKED),
            (at_token(1000), replace(HEAD, tombstone_floor=1001)),  # must be told that it expired
            (at_page(1000, upper=1000), HEAD),  # more of the stamp may follow
            (Start.since(1000, FILTERS), HEAD),
        ],
    )
    def test_whatever_else_is_not_idle(self, start: Start, head: Head) -> None:
        assert not is_idle(start, head)

    def test_a_floor_exactly_at_the_position_is_idle(self) -> None:
        assert is_idle(at_token(1000), replace(HEAD, tombstone_floor=1000))
