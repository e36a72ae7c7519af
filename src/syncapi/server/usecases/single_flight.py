"""Work that several callers want done at once is done once."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

Result = TypeVar("Result")


class SharedWork(Generic[Result]):
    """Runs at most one piece of work per key in this process."""

    def __init__(self) -> None:
        self._running: dict[Hashable, asyncio.Task[Result]] = {}

    async def run(self, key: Hashable, work: Callable[[], Awaitable[Result]]) -> Result:
        """Join the work that runs under ``key``, or begin it.

        A caller that is cancelled leaves the work running: who asks again finds it further on.
        """
        task = self._running.get(key)
        if task is None:
            task = self._running[key] = asyncio.create_task(_awaited(work))
            task.add_done_callback(lambda done: self._forget(key, done))
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Stop what still runs."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _forget(self, key: Hashable, task: asyncio.Task[Result]) -> None:
        del self._running[key]
        if not task.cancelled():
            task.exception()  # seen, also where nobody waits any more


async def _awaited(work: Callable[[], Awaitable[Result]]) -> Result:
    return await work()
