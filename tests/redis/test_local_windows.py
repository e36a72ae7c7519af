"""Sliding windows in memory, at times that the tests choose."""

import pytest

from syncapi.server.domain.errors import RateLimited
from syncapi.server.redis.local_windows import LocalWindows

START = 6000.0  # where a window of 60 seconds begins


class Timeline:
    """Windows of ten hits a minute, on a clock that is set by hand."""

    def __init__(self, size: int = 100) -> None:
        self.time = START
        self.windows = LocalWindows(10, 60, size=size, now=lambda: self.time)

    def admitted(self, at: float, hits: int, key: str = "a") -> int:
        self.time = START + at
        return sum(self.windows.hit(key).is_admitted for _ in range(hits))


# (seconds after the start, hits tried, hits admitted)
SCENARIOS = {
    "up to the limit": [(0, 12, 10), (59, 5, 0)],
    "the window slides": [(0, 10, 10), (60, 5, 0), (66, 5, 1), (90, 9, 4), (119, 9, 5)],
    "a window is skipped": [(0, 10, 10), (120, 12, 10)],
    "refused hits do not count": [(0, 100, 10), (90, 9, 5)],
    "the clock steps back": [(60, 10, 10), (0, 10, 10)],
}


@pytest.mark.parametrize("steps", SCENARIOS.values(), ids=SCENARIOS)
def test_hits_are_admitted_by_the_share_of_the_window(
    steps: list[tuple[float, int, int]],
) -> None:
    timeline = Timeline()
    for at, hits, admitted in steps:
        assert timeline.admitted(at, hits) == admitted


def test_keys_count_for_themselves() -> None:
    timeline = Timeline()
    assert timeline.admitted(0, 11, "a") == 10
    assert timeline.admitted(0, 11, "b") == 10


def test_memory_is_bounded_and_keeps_who_came_last() -> None:
    timeline = Timeline(size=2)
    timeline.admitted(0, 10, "a")
    timeline.admitted(0, 10, "b")
    timeline.admitted(0, 1, "a")
    timeline.admitted(0, 10, "c")
    assert len(timeline.windows) == 2
    assert timeline.admitted(0, 1, "a") == 0
    assert timeline.admitted(0, 1, "b") == 1


def test_the_headers_tell_what_is_left_and_when_there_is_more() -> None:
    timeline = Timeline()
    timeline.time = START + 20.5
    quota = timeline.windows.hit("a")
    quota.enforce()
    assert quota.headers == {
        "RateLimit-Policy": '"member";q=10;w=60',
        "RateLimit": '"member";r=9;t=40',
    }


@pytest.mark.parametrize(("before", "at"), [(0, 0), (10, 30), (59.5, 59.75), (0, 60), (30, 60)])
def test_whoever_waits_as_told_is_admitted(before: float, at: float) -> None:
    timeline = Timeline()
    timeline.admitted(before, 10)
    timeline.time = START + at
    quota = timeline.windows.hit("a")
    with pytest.raises(RateLimited) as refusal:
        quota.enforce()
    assert refusal.value.retry_after == quota.reset
    assert timeline.admitted(at + quota.reset, 1) == 1
