"""The buckets of rate limits in memory, at times that the tests choose."""

import pytest

from syncapi.server.domain.errors import RateLimited
from syncapi.server.domain.rates import Rate
from syncapi.server.redis.buckets import LocalBuckets

START = 6000.0


class Timeline:
    """Buckets of ten hits a minute, one back each six seconds, on a clock that is set by hand."""

    def __init__(self, size: int = 100) -> None:
        self.time = START
        self.buckets = LocalBuckets(Rate(10, 60), size=size, now=lambda: self.time)

    def admitted(self, at: float, hits: int, key: str = "a") -> int:
        self.time = START + at
        return sum(self.buckets.hit(key).is_admitted for _ in range(hits))


# (seconds after the start, hits tried, hits admitted)
SCENARIOS = {
    "up to the limit": [(0, 12, 10), (5.9, 5, 0)],
    "one comes back each interval": [(0, 10, 10), (6, 5, 1), (11.9, 5, 0), (12, 5, 1)],
    "half a window brings half": [(0, 10, 10), (30, 9, 5)],
    "never more than the limit": [(0, 10, 10), (60, 12, 10), (600, 12, 10)],
    "at an even pace all are admitted": [(6 * n, 1, 1) for n in range(50)],
    "refused hits do not count": [(0, 100, 10), (30, 9, 5)],
    "the clock steps back": [(60, 10, 10), (0, 10, 10)],
}


@pytest.mark.parametrize("steps", SCENARIOS.values(), ids=SCENARIOS)
def test_hits_are_admitted_as_the_bucket_refills(
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
    assert len(timeline.buckets) == 2
    assert timeline.admitted(0, 1, "a") == 0
    assert timeline.admitted(0, 1, "b") == 1


def test_the_headers_tell_what_is_left_and_when_there_is_more() -> None:
    timeline = Timeline()
    timeline.time = START + 20.5
    quota = timeline.buckets.hit("a")
    quota.enforce()
    assert quota.headers == {
        "RateLimit-Policy": '"member";q=10;w=60',
        "RateLimit": '"member";r=9;t=6',
    }


def test_no_window_sees_more_than_twice_the_limit() -> None:
    """A full bucket, and what comes back to it meanwhile; a sliding window allows the same."""
    timeline = Timeline()
    hits = [at for at in range(180) for _ in range(timeline.admitted(at, 10))]
    assert max(sum(start <= at < start + 60 for at in hits) for start in hits) == 19


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("3000/minute", Rate(3000, 60)),
        ("100 per 10 seconds", Rate(100, 10)),
        ("5 per 1 hour", Rate(5, 3600)),
        ("7/Day", Rate(7, 86_400)),
        ("1 per month", Rate(1, 30 * 86_400)),
    ],
)
def test_a_rate_is_read(text: str, rate: Rate) -> None:
    assert Rate.parse(text) == rate


@pytest.mark.parametrize(("before", "at"), [(0, 0), (10, 15.9), (59.5, 59.75), (0, 5.5), (30, 35)])
def test_whoever_waits_as_told_is_admitted(before: float, at: float) -> None:
    timeline = Timeline()
    timeline.admitted(before, 10)
    timeline.time = START + at
    quota = timeline.buckets.hit("a")
    with pytest.raises(RateLimited) as refusal:
        quota.enforce()
    assert refusal.value.retry_after == quota.reset
    assert timeline.admitted(at + quota.reset, 1) == 1
