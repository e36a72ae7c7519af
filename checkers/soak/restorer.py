"""Kills the primary and puts a base backup in its place, without recovery; again and again."""

import asyncio
import random

from soak.ground import DATABASE, Ground
from soak.operator import Operator
from soak.standby import copy_of, newest_stamps
from soak.stories import Fork, now
from soak.tally import Budget, Tally


class Restorer:
    """A primary, in whose place a backup of it is put, on the same port and timeline.

    Args:
        found: its PostgreSQL is the first primary.
        forks: takes the restores.
        operator: sees to each restore.
    """

    def __init__(self, found: Ground, forks: list[Fork], operator: Operator) -> None:
        self._folder = found.folder
        self._primary = found.servers.postgres
        self._number = 0
        self._forks = forks
        self._operator = operator

    def close(self) -> None:
        """End what it started, at once."""
        self._primary.kill()

    async def restore(self, budget: Budget, tally: Tally, rng: random.Random) -> None:
        """Put backups back until the budget is spent."""
        while not budget.is_over:
            self._number += 1
            # Older than what the backup has, or the same: read before it is made.
            kept = await asyncio.to_thread(newest_stamps, self._primary, DATABASE)
            folder, port = self._folder / f"backup {self._number}", self._primary.port
            backup = await asyncio.to_thread(copy_of, self._primary, folder, port)
            await budget.pause(rng.uniform(0.5, 5))
            await asyncio.to_thread(self._primary.kill)
            await asyncio.to_thread(backup.start)
            self._primary = backup
            self._forks.append(Fork(now(), kept))
            tally("restored: a base backup on the same timeline")
            await self._operator.see_to_loss()
            await budget.pause(rng.uniform(1, 6))
