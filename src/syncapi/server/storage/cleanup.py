"""Clean-ups that outlive the request that needs them."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from structlog import get_logger

from syncapi.server.domain.errors import Unavailable

log = get_logger(__name__)

_PAUSES: Final = (1, 5, 30, 120, 600, 3600)
"""Seconds before each further attempt: a plan for an hour and a quarter, after which it ends."""

_WAIT: Final = 5
"""Seconds that a caller waits for a first attempt: S3 may hang, and the caller has an answer."""

_GRACE: Final = 5
"""Seconds that first attempts are given when the store closes."""

Act = Callable[[], Awaitable[None]]


class CleanUps:
    """Runs clean-ups to their end, whatever happens to their callers."""

    def __init__(self) -> None:
        self._first_attempts: set[asyncio.Task[None]] = set()
        self._repeats: set[asyncio.Task[None]] = set()

    async def run(self, key: str, act: Act) -> None:
        """Try ``act`` once before returning; while it is `Unavailable`, go on in the background.

        A caller that is cancelled returns at once, any other after a few seconds at most, and
        the clean-up goes on all the same. What else ``act`` raises in that time is raised.
        """
        first = _begin(self._first(key, act), self._first_attempts)
        await asyncio.wait({first}, timeout=_WAIT)
        if first.done():
            first.result()

    async def close(self) -> None:
        """Give first attempts a few seconds, and stop what has failed before."""
        late: set[asyncio.Task[None]] = set()
        if self._first_attempts:
            _, late = await asyncio.wait(self._first_attempts, timeout=_GRACE)
        stopped = [*late, *self._repeats]
        for task in stopped:
            task.cancel()
        await asyncio.gather(*stopped, return_exceptions=True)

    async def _first(self, key: str, act: Act) -> None:
        try:
            await act()
        except Unavailable:
            _ = _begin(_repeat(key, act), self._repeats)


async def _repeat(key: str, act: Act) -> None:
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


def _begin(
    work: Coroutine[Any, Any, None], running: set[asyncio.Task[None]]
) -> asyncio.Task[None]:
    task = asyncio.create_task(work)
    running.add(task)
    task.add_done_callback(lambda done: _settle(done, running))
    return task


def _settle(task: asyncio.Task[None], running: set[asyncio.Task[None]]) -> None:
    running.discard(task)
    if not task.cancelled() and task.exception() is not None:  # asking marks it as seen
        log.error("clean_up_failed", exc_info=task.exception())
