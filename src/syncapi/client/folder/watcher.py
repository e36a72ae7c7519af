"""Keep a folder in step for as long as it is wanted: woken by changes here, and by the server's.

A lost network, a machine that slept or a server that is restarted delays it and does no more:
what was missed meanwhile is found by the next scan and the next pull.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from syncapi.client.errors import RateLimited, ServerError, StoreBusy, SyncError, Unreachable
from syncapi.client.folder.ignore_rules import is_part_file
from syncapi.client.folder.reports import MirrorReport
from syncapi.protocol.backoff import backoff

_LOOK_MILLISECONDS = 2000
"""Between two looks whether the folder is still the one that is watched."""

PASSING = (Unreachable, ServerError, RateLimited, StoreBusy)
"""What goes away by itself; the last is a decision that takes long."""


class Watched(Protocol):
    """What is kept in step: a `Mirror`."""

    root: Path

    async def sync(self) -> MirrorReport: ...

    async def has_news(self) -> bool:
        """Ask the server, at next to no cost, whether anything was written since the last sync."""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Times in seconds.

    Attributes:
        poll: between two questions to the server.
        debounce: how long the folder must be quiet before it is looked at.
        retry: before what failed is tried again; doubled each time, up to `longest_retry`.
        rescan: between two looks at a folder of which no event came: events get lost, and network
            file systems have none.
    """

    poll: float = 5.0
    debounce: float = 0.5
    retry: float = 2.0
    longest_retry: float = 300.0
    rescan: float = 300.0


DEFAULT_RHYTHM = Rhythm()


async def watch(
    mirror: Watched,
    *,
    stop: asyncio.Event,
    on_report: Callable[[MirrorReport], None],
    on_trouble: Callable[[SyncError, float], None],
    rhythm: Rhythm = DEFAULT_RHYTHM,
) -> None:
    """Keep a folder in step until ``stop`` is set; what is under way then is finished.

    Args:
        mirror: the folder.
        stop: ends it.
        on_report: receives what each sync did.
        on_trouble: receives what is in the way for now, and in how many seconds it is tried
            again.
        rhythm: how often it looks.

    Raises:
        SyncError: what does not go away by itself: a refused token, a safety stop.
    """
    watcher = _Watcher(mirror, stop, rhythm)
    tasks = [
        asyncio.ensure_future(watcher.run(on_report, on_trouble)),
        asyncio.ensure_future(watcher.look_at_folder()),
        asyncio.ensure_future(watcher.ask_server(on_trouble)),
    ]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        stop.set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


class _Watcher:
    def __init__(self, mirror: Watched, stop: asyncio.Event, rhythm: Rhythm) -> None:
        self._mirror = mirror
        self._stop = stop
        self._rhythm = rhythm
        self._wake = asyncio.Event()
        self._wake.set()
        self._timer: asyncio.TimerHandle | None = None

    async def run(
        self,
        on_report: Callable[[MirrorReport], None],
        on_trouble: Callable[[SyncError, float], None],
    ) -> None:
        rhythm, failures = self._rhythm, 0
        while await self._woken():
            try:
                report = await self._mirror.sync()
            except PASSING as error:
                failures += 1
                wait = backoff(failures, first=rhythm.retry, longest=rhythm.longest_retry)
                on_trouble(error, wait)
                self._again_in(wait)
                continue
            on_report(report)
            if report.failures or report.left:
                failures += 1
                wait = backoff(failures, first=rhythm.retry, longest=rhythm.longest_retry)
                self._again_in(wait)
            else:
                failures = 0
                self._again_in(rhythm.rescan)

    async def look_at_folder(self) -> None:
        """Wake up for changes that a sync would see."""
        from watchfiles import awatch  # noqa: PLC0415 - a library of native code, for this alone

        while not self._stop.is_set():
            changes = awatch(
                self._mirror.root,
                watch_filter=lambda _, path: not is_part_file(Path(path).name),
                debounce=int(self._rhythm.debounce * 1000),
                stop_event=self._stop,
                rust_timeout=_LOOK_MILLISECONDS,
                yield_on_timeout=True,
            )
            await self._follow(changes)
            self._wake.set()

    async def _follow(self, changes: AsyncIterator[Set[object]]) -> None:
        """Wake up for changes until the folder is another one, or gone: the sync says so."""
        watched = _identity(self._mirror.root)
        with contextlib.suppress(FileNotFoundError):
            async for change in changes:
                if change:
                    self._wake.set()
                if _identity(self._mirror.root) != watched:
                    return
        await self._stopped_within(self._rhythm.retry)

    async def ask_server(self, on_trouble: Callable[[SyncError, float], None]) -> None:
        """Wake up for what others wrote."""
        while not await self._stopped_within(self._rhythm.poll):
            try:
                if await self._mirror.has_news():
                    self._wake.set()
            except PASSING as error:
                on_trouble(error, self._rhythm.poll)
            except SyncError:
                self._wake.set()  # the sync meets it too, and says what it is

    async def _woken(self) -> bool:
        """Wait for something to do; False when it is time to stop."""
        await _first(self._wake.wait(), self._stop.wait())
        self._wake.clear()
        return not self._stop.is_set()

    def _again_in(self, seconds: float) -> None:
        """Wake up later, once however often this is said."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._wake.set)

    async def _stopped_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)
        return self._stop.is_set()


def _identity(root: Path) -> tuple[int, int] | None:
    try:
        status = root.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


async def _first(*waits: Awaitable[object]) -> None:
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
