"""Work that several callers want at the same time is done once."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")


class SingleFlight(Generic[Key, Result]):
    """Runs at most one piece of work per key in this process."""

    def __init__(self) -> None:
        self._running: dict[Key, asyncio.Task[Result]] = {}

    async def run(self, key: Key, work: Callable[[], Awaitable[Result]]) -> Result:
        """Join the work that runs under ``key``, or begin it.

        The work goes on when a caller is cancelled, and a caller that asks again joins it.
        """

        async def awaited() -> Result:
            return await work()

        def end(task: asyncio.Task[Result]) -> None:
            if self._running.get(key) is task:
                del self._running[key]
            if not task.cancelled():
                task.exception()  # seen, also where every caller has gone

        task = self._running.get(key)
        if task is None:
            task = self._running[key] = asyncio.create_task(awaited())
            task.add_done_callback(end)
        return await asyncio.shield(task)

    def is_joinable(self, key: Key) -> bool:
        """Whether the work that calls this is the one that runs under ``key``.

        It is not after `part_with`: then only those who wait already get its result.
        """
        return self._running.get(key) is asyncio.current_task()

    def part_with(self, matches: Callable[[Key], bool]) -> None:
        """Let no further caller join the work whose key ``matches``; the next one begins anew."""
        for key in [key for key in self._running if matches(key)]:
            del self._running[key]

    async def close(self) -> None:
        """Stop what still runs."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
