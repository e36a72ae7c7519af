"""A folder that is watched is kept in step, whatever comes between."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from fixtures.until import until
from simulation.device import Device
from syncapi.client.errors import SafetyStop, StoreBusy, SyncError, Unreachable
from syncapi.client.folder.mirror import Mirror
from syncapi.client.folder.reports import MirrorReport
from syncapi.client.folder.watcher import Rhythm, _Watcher, watch

QUICK = Rhythm(poll=0.05, debounce=0.05, retry=0.05, longest_retry=0.2)
NEVER_ASKS = Rhythm(poll=3600, debounce=0.05)


@dataclass
class Watch:
    """One that is under way."""

    task: asyncio.Task[None]
    stop: asyncio.Event
    reports: list[MirrorReport] = field(default_factory=list)
    troubles: list[SyncError] = field(default_factory=list)


@asynccontextmanager
async def watched(device: Device, rhythm: Rhythm = QUICK) -> AsyncIterator[Watch]:
    """Watch a device's folder; the first sync is over."""
    async with device.opened() as mirror:
        stop = asyncio.Event()
        seen = Watch(asyncio.create_task(asyncio.sleep(0)), stop)
        seen.task = asyncio.create_task(
            watch(
                mirror,
                stop=stop,
                on_report=seen.reports.append,
                on_trouble=lambda error, _seconds: seen.troubles.append(error),
                rhythm=rhythm,
            )
        )

        async def has_begun() -> bool:
            return bool(seen.reports) or seen.task.done()

        try:
            await until(has_begun)
            yield seen
        finally:
            stop.set()
            await asyncio.gather(seen.task, return_exceptions=True)


async def synced_text(device: Device, path: str) -> str | None:
    await device.sync_calmly()
    place = device.root / path
    return place.read_text() if place.exists() else None


async def test_a_change_here_is_sent(laptop: Device, desktop: Device) -> None:
    async with watched(laptop, NEVER_ASKS):
        (laptop.root / "a.txt").write_text("one")

        async def has_come() -> bool:
            return await synced_text(desktop, "a.txt") == "one"

        await until(has_come)


async def test_a_change_there_is_fetched(laptop: Device, desktop: Device) -> None:
    async with watched(laptop):
        (desktop.root / "a.txt").write_text("one")
        await desktop.sync_calmly()

        async def has_come() -> bool:
            return laptop.tree().keys() == {"a.txt"}

        await until(has_come)


async def test_a_lost_network_is_told_and_waited_out(laptop: Device, desktop: Device) -> None:
    async with watched(laptop) as seen:
        laptop.api.only, laptop.api.rate = "refused", 1.0
        (laptop.root / "a.txt").write_text("one")

        async def is_told() -> bool:
            return any(isinstance(trouble, Unreachable) for trouble in seen.troubles)

        await until(is_told)
        assert not seen.task.done()
        laptop.api.rate = 0.0

        async def has_come() -> bool:
            return await synced_text(desktop, "a.txt") == "one"

        await until(has_come)


async def test_it_ends_when_it_is_told_to(laptop: Device) -> None:
    async with watched(laptop) as seen:
        seen.stop.set()
        await asyncio.wait_for(seen.task, 20)


async def test_a_safety_stop_ends_it(laptop: Device) -> None:
    (laptop.root / "a.txt").write_text("one")
    async with watched(laptop) as seen:
        (laptop.root / "a.txt").unlink()
        with pytest.raises(SafetyStop):
            await asyncio.wait_for(seen.task, 20)


async def test_what_no_event_tells_is_found_all_the_same(laptop: Device) -> None:
    async with watched(laptop, Rhythm(poll=3600, debounce=0.05, rescan=0.05)) as seen:

        async def has_looked_again() -> bool:
            return len(seen.reports) >= 3

        await until(has_looked_again)


async def test_a_folder_that_was_replaced_is_not_taken_for_it(
    laptop: Device, desktop: Device
) -> None:
    """What took its place may be older, or empty: nothing of it is pushed."""
    async with watched(laptop, NEVER_ASKS) as seen:
        laptop.root.rename(laptop.root.with_name("old"))
        laptop.root.mkdir()
        (laptop.root / "a.txt").write_text("one")

        async def has_noticed() -> bool:
            return seen.task.done() or bool(seen.troubles)

        await until(has_noticed)
        (trouble,) = [seen.task.exception()] if seen.task.done() else seen.troubles[:1]
        assert isinstance(trouble, SafetyStop)
    assert await synced_text(desktop, "a.txt") is None


async def test_one_retry_waits_at_a_time(laptop: Device) -> None:
    async with laptop.opened() as mirror:
        watcher = _Watcher(mirror, asyncio.Event(), QUICK)
        watcher._again_in(3600)
        first = watcher._timer
        watcher._again_in(3600)
        assert first is not None
        assert first.cancelled()
        assert watcher._timer is not None
        watcher._timer.cancel()


async def test_a_decision_that_takes_long_is_waited_for(
    laptop: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with watched(laptop) as seen:
        before = len(seen.reports)
        with monkeypatch.context() as patch:
            patch.setattr(Mirror, "sync", is_busy)
            (laptop.root / "a.txt").write_text("one")

            async def is_told() -> bool:
                return any(isinstance(trouble, StoreBusy) for trouble in seen.troubles)

            await until(is_told)
            assert not seen.task.done()

        async def goes_on() -> bool:
            return len(seen.reports) > before

        await until(goes_on)


async def is_busy(_mirror: Mirror) -> MirrorReport:
    raise StoreBusy("Another process is settling a conflict.")
