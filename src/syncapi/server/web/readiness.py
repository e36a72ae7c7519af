"""Whether the service can do its work: checks that are bounded in time and shared by probes."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from time import monotonic

import structlog

from syncapi.protocol.health import DependencyState


@dataclass(frozen=True, slots=True)
class Check:
    """One dependency.

    Attributes:
        name: as the report gives it.
        probe: returns if the dependency answers, raises if not.
        is_needed: False where the service goes on without it, if less well.
    """

    name: str
    probe: Callable[[], Awaitable[object]]
    is_needed: bool = True


@dataclass(frozen=True, slots=True)
class Readiness:
    """What the last round of checks found."""

    states: dict[str, DependencyState]
    needed: frozenset[str]

    @property
    def missing(self) -> list[str]:
        """What is needed and down."""
        return [name for name in self.states if name in self.needed and not self._is_up(name)]

    @property
    def is_degraded(self) -> bool:
        return any(not self._is_up(name) for name in self.states)

    def _is_up(self, name: str) -> bool:
        return self.states[name] == "up"


class ReadinessChecks:
    """Runs all checks at once, and one round for all who ask while it runs or shortly after."""

    def __init__(
        self,
        checks: Sequence[Check],
        *,
        timeout: float = 2.0,
        good_for: float = 1.0,
        now: Callable[[], float] = monotonic,
    ) -> None:
        """Prepare the checks.

        Args:
            checks: of the dependencies.
            timeout: of one probe, in seconds.
            good_for: how long a finding is given again, in seconds.
            now: a clock that never steps.
        """
        self._checks = tuple(checks)
        self._timeout = timeout
        self._good_for = good_for
        self._now = now
        self._round: asyncio.Task[Readiness] | None = None
        self._good_until = 0.0

    async def look(self) -> Readiness:
        """The state of every dependency, at most `good_for` seconds old."""
        if self._round is None or (self._round.done() and self._now() >= self._good_until):
            self._round = asyncio.create_task(self._run())
        return await asyncio.shield(self._round)

    async def _run(self) -> Readiness:
        states = await asyncio.gather(*map(self._state, self._checks))
        self._good_until = self._now() + self._good_for
        names = (check.name for check in self._checks)
        needed = frozenset(check.name for check in self._checks if check.is_needed)
        return Readiness(dict(zip(names, states, strict=True)), needed)

    async def _state(self, check: Check) -> DependencyState:
        try:
            async with asyncio.timeout(self._timeout):
                await check.probe()
        except Exception as error:  # noqa: BLE001 - whatever a driver raises, it is down
            log = structlog.get_logger("syncapi.readiness")
            log.warning("dependency down", dependency=check.name, error=repr(error))
            return "down"
        return "up"
