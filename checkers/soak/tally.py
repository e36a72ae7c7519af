"""What a run of the checker did, and when it has done enough."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Tally:
    """Counts of what happened, by name; an actor that died."""

    counts: Counter[str] = field(default_factory=Counter)

    def __call__(self, what: str, times: int = 1) -> None:
        self.counts[what] += times

    def lines(self) -> list[str]:
        """The counts as text, by name."""
        return [f"{count:>9,}  {what}" for what, count in sorted(self.counts.items())]


class Budget:
    """How long writers go on: for some seconds, for a number of acts, or until `end`."""

    def __init__(self, *, seconds: float | None = None, acts: int | None = None) -> None:
        self._deadline = None if seconds is None else time.monotonic() + seconds
        self._acts = acts
        self._is_over = asyncio.Event()

    def take(self) -> bool:
        """Whether one more act is in it."""
        if self._acts is not None:
            self._acts -= 1
            if self._acts < 0:
                self._is_over.set()
        if self._deadline is not None and time.monotonic() > self._deadline:
            self._is_over.set()
        return not self._is_over.is_set()

    def end(self) -> None:
        self._is_over.set()

    @property
    def is_over(self) -> bool:
        return self._is_over.is_set()

    async def pause(self, seconds: float) -> None:
        """Wait, but not beyond the end."""
        try:
            await asyncio.wait_for(self._is_over.wait(), seconds)
        except TimeoutError:
            return
