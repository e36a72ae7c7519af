"""Clean-ups that outlive the request that needs them."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from structlog import get_logger

from syncapi.domain.errors import Unavailable

log = get_logger(__name__)

_PAUSES: Final = (1, 5, 30, 120, 600, 3600)
"""Seconds before each further attempt."""

_GRACE: Final = 5
"""Seconds that clean-ups under way are given when the store closes."""

Act = Callable[[], Awaitable[None]]


class CleanUps:
    """Runs clean-ups to their end, whatever happens to their callers."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, key: str, act: Act) -> None:
        """Try ``act`` once before returning; while it is `Unavailable`, go on in the background.

        A cancelled caller returns at once, and the clean-up goes on all the same.
        """
        await asyncio.shield(self._begin(self._first(key, act)))

    async def close(self) -> None:
        """Give what is under way a few seconds, then stop."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=_GRACE)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _first(self, key: str, act: Act) -> None:
        try:
            await act()
        except Unavailable:
            _ = self._begin(self._later(key, act))

    async def _later(self, key: str, act: Act) -> None:
        try:
            for pause in _PAUSES:
                await asyncio.sleep(pause)
                try:
                    return await act()
                except Unavailable:
                    log.info("clean_up_waits", key=key)
        except asyncio.CancelledError:
            log.warning("clean_up_stopped", key=key)
            raise
        log.error("clean_up_given_up", key=key)
        return None

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
