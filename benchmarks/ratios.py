"""Ratios of two things done in turn, so that a machine whose speed drifts does not decide."""

import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

Act = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Ratio:
    """``ours / theirs`` of each pair, as median and quartiles."""

    name: str
    unit: str
    ours: float
    theirs: float
    pairs: list[float]
    goal: str

    def report(self) -> str:
        low, middle, high = statistics.quantiles(self.pairs, n=4)
        return (
            f"{self.name}\n  ratio {middle:.2f} (quartiles {low:.2f}…{high:.2f}), goal {self.goal}"
            f"   [ours {self.ours:.2f} {self.unit}, theirs {self.theirs:.2f} {self.unit},"
            f" {len(self.pairs)} pairs]"
        )


async def timed_pairs(name: str, goal: str, ours: Act, theirs: Act, *, pairs: int) -> Ratio:
    """Milliseconds of single acts, A B A B …, after a warm-up."""
    for _ in range(10):
        await ours()
        await theirs()
    times = [(await _milliseconds(ours), await _milliseconds(theirs)) for _ in range(pairs)]
    return Ratio(
        name,
        "ms",
        statistics.median(a for a, _ in times),
        statistics.median(b for _, b in times),
        [a / b for a, b in times],
        goal,
    )


async def _milliseconds(act: Act) -> float:
    started = time.perf_counter()
    await act()
    return (time.perf_counter() - started) * 1000
