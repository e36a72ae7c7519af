"""Probes of the dependencies: bounded in time, shared, and honest."""

import asyncio

from syncapi.server.web.readiness import Check, ReadinessChecks


class Dependency:
    """Something that is asked, and counts how often."""

    def __init__(self, *, is_up: bool = True) -> None:
        self.is_up = is_up
        self.asked = 0

    async def probe(self) -> None:
        self.asked += 1
        await asyncio.sleep(0)
        if not self.is_up:
            raise ConnectionRefusedError("postgresql://user:secret@host")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def _hang() -> None:
    await asyncio.Event().wait()


async def test_all_that_ask_at_once_share_a_round() -> None:
    dependency = Dependency()
    checks = ReadinessChecks([Check("database", dependency.probe)])
    await asyncio.gather(*(checks.look() for _ in range(50)))
    assert dependency.asked == 1


async def test_a_finding_is_told_again_for_a_while_only() -> None:
    dependency, clock = Dependency(), Clock()
    checks = ReadinessChecks([Check("database", dependency.probe)], good_for=1, now=clock)
    assert (await checks.look()).missing == []
    dependency.is_up = False
    clock.now = 0.9
    assert (await checks.look()).missing == []
    clock.now = 1.0
    assert (await checks.look()).missing == ["database"]


async def test_a_dependency_that_hangs_is_down_and_holds_up_nobody() -> None:
    up = Dependency()
    checks = ReadinessChecks([Check("storage", _hang), Check("database", up.probe)], timeout=0.01)
    found = await checks.look()
    assert found.states == {"storage": "down", "database": "up"}
    assert found.missing == ["storage"]


async def test_what_can_be_done_without_only_degrades() -> None:
    down = Dependency(is_up=False)
    found = await ReadinessChecks([Check("redis", down.probe, is_needed=False)]).look()
    assert found.is_degraded
    assert found.missing == []


async def test_one_that_hangs_up_does_not_end_the_round_of_the_others() -> None:
    released = asyncio.Event()
    checks = ReadinessChecks([Check("database", released.wait)])
    first, second = asyncio.create_task(checks.look()), asyncio.create_task(checks.look())
    await asyncio.sleep(0)
    first.cancel()
    released.set()
    assert (await second).states == {"database": "up"}
