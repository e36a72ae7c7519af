"""Kills the primary, promotes a standby that lags, and makes the next standby; again and again."""

import asyncio
import random

from soak.ground import DATABASE, Ground
from soak.operator import Operator
from soak.standby import (
    copy_of,
    is_receiving,
    newest_stamps,
    promote,
    start_standby,
    stop_receiving,
)
from soak.stories import Fork, now
from soak.tally import Budget, Tally
from syncapi.embedded import PostgresServer

_SIBLINGS = 0.3


class Promoter:
    """A primary and its standby, on two ports that they take turns on.

    Args:
        found: its PostgreSQL is the first primary.
        standby_port: where the first standby listens.
        forks: takes the fail-overs.
        operator: sees to each fail-over.
    """

    def __init__(
        self, found: Ground, standby_port: int, forks: list[Fork], operator: Operator
    ) -> None:
        self._folder = found.folder
        self._primary = found.servers.postgres
        self._spare_port = standby_port
        self._standby: PostgresServer | None = None
        self._number = 0
        self._forks = forks
        self._operator = operator

    def close(self) -> None:
        """End what it started, at once."""
        for server in (self._standby, self._primary):
            if server is not None:
                server.kill()

    async def promote(self, budget: Budget, tally: Tally, rng: random.Random) -> None:
        """Fail over until the budget is spent."""
        while not budget.is_over:
            has_sibling = rng.random() < _SIBLINGS
            await asyncio.to_thread(self._make_standby)
            sibling = await asyncio.to_thread(self._copy_standby) if has_sibling else None
            await budget.pause(rng.uniform(1, 5))
            await self._let_lag(budget, rng)
            await asyncio.to_thread(self._fail_over)
            tally("promoted: a standby that lagged")
            await self._operator.see_to_loss()
            await budget.pause(rng.uniform(1, 5))
            if sibling is not None:
                await asyncio.to_thread(self._fail_over_to, sibling)
                tally("promoted: its sibling, on the same timeline")
                await self._operator.see_to_loss()
                await budget.pause(rng.uniform(1, 5))

    def _make_standby(self) -> None:
        self._number += 1
        folder = self._folder / f"standby {self._number}"
        self._standby = start_standby(self._primary, folder, self._spare_port)

    def _copy_standby(self) -> PostgresServer:
        """A standby of the same primary, which stays at the state that it is made in."""
        self._number += 1
        folder = self._folder / f"standby {self._number}"
        return copy_of(self._primary, folder, self._primary.port, "--write-recovery-conf")

    async def _let_lag(self, budget: Budget, rng: random.Random) -> None:
        standby = self._standby
        assert standby is not None
        await asyncio.to_thread(stop_receiving, standby)
        while await asyncio.to_thread(is_receiving, standby):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.05)
        await budget.pause(rng.uniform(0.2, 2))

    def _fail_over(self) -> None:
        assert self._standby is not None
        standby, self._standby = self._standby, None
        self._spare_port = self._primary.port
        self._primary.kill()
        self._promote(standby)

    def _fail_over_to(self, sibling: PostgresServer) -> None:
        """Its port is that of the first primary, which is dead."""
        self._spare_port = self._primary.port
        self._primary.kill()
        sibling.start()
        self._promote(sibling)

    def _promote(self, standby: PostgresServer) -> None:
        kept = newest_stamps(standby, DATABASE)
        promote(standby)
        self._forks.append(Fork(now(), kept))
        self._primary = standby
