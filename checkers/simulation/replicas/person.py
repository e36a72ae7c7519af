"""Somebody who is asked about conflicts, and takes their time to answer."""

import asyncio
import random
from collections.abc import Callable
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from simulation.replicas.wishes import Wishes
from syncapi.client.replica.conflicts import (
    KEEP_BOTH,
    ReplicaConflict,
    Resolution,
    Take,
    default_strategy,
    first_write_wins,
    last_write_wins,
    manual,
    merge,
)

_STRATEGIES: Final[tuple[Callable[[ReplicaConflict], Resolution], ...]] = (
    default_strategy,
    default_strategy,
    last_write_wins,
    first_write_wins,
    merge,
    manual,
    lambda _conflict: KEEP_BOTH,
)


class Refused(Exception):  # noqa: N818 - it is what a caller's own function raises
    """The answer of somebody who does not want to decide now."""


class Question(NamedTuple):
    """What somebody was asked.

    Attributes:
        changed_at: when the change was made here.
        theirs_at: the server's version, if it has one.
        versions: both sides.
    """

    document_id: UUID
    changed_at: datetime
    theirs_at: datetime | None
    versions: str


class Person:
    """A strategy.

    Attributes:
        meanwhile: called while the question is open.
        answered: the questions that were answered in this run.
        is_patient: never refuses to answer.
    """

    def __init__(self, rng: random.Random, wishes: Wishes) -> None:
        self._rng = rng
        self._wishes = wishes
        self.meanwhile: Callable[[], object] = lambda: None
        self.answered: list[Question] = []
        self.is_patient = False

    async def __call__(self, conflict: ReplicaConflict) -> Resolution:
        self._wishes.see(conflict.id, conflict.theirs)
        self._wishes.touched.add(conflict.id)
        await asyncio.sleep(0)
        before = set(self._wishes.given_up)
        self.meanwhile()
        given_up = self._wishes.given_up - before
        if self._rng.random() < 0.1 and not self.is_patient:
            raise Refused("not now")
        answer = self._rng.choice(_STRATEGIES)(conflict)
        if isinstance(answer, Take):
            self._wishes.ask(conflict.id, answer.values)
            self._wishes.give_up(given_up)  # the answer is about what was there before
            self._wishes.write_over(conflict.id, conflict.theirs)
        self.answered.append(question(conflict))
        return answer


def question(conflict: ReplicaConflict) -> Question:
    versions = f"{conflict.mine} or {conflict.theirs}"
    return Question(conflict.id, conflict.changed_at, conflict.theirs_at, versions)
