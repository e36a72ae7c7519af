"""The pushes of one tenant that have no answer yet, in the order in which they are carried out."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from syncapi.server.domain.access import TenantScope
from syncapi.server.usecases.push import Outcome
from syncapi.server.usecases.push_changes import Push

MOST_CHANGES = 1000
"""How many changes share a transaction, so that none holds the clock for long."""


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """A push that has no answer yet.

    Attributes:
        arrived: when it came, by the monotonic clock.
        until: when it gives up, by the same clock.
    """

    push: Push
    outcome: "asyncio.Future[Outcome]"
    arrived: float
    until: float


class Line:
    """The pushes of one tenant to one database.

    Attributes:
        waiting: the pushes in the order of their arrival.
        apart: the pushes that left the line, each of which is carried out by itself.
        runner: forms groups of waiting pushes and carries them out; None while none can be formed.
        clock_is_held: another transaction keeps the tenant's clock locked.
    """

    def __init__(self, scope: TenantScope) -> None:
        self.tenant_id = scope.tenant_id
        self.database = scope.database
        self.waiting: deque[Waiting] = deque()
        self.apart: dict[Waiting, asyncio.Task[None]] = {}
        self.runner: asyncio.Task[None] | None = None
        self.clock_is_held = False

    def next_group(self) -> list[Waiting]:
        """Take the first push, and those behind it that touch nothing that another one touches.

        Two writes of a document in one transaction would leave one version, and the first write
        would be lost. A push that is passed over holds back all behind it that touch the same, and
        so does a push that is apart.
        """
        group: list[Waiting] = []
        touched: set[UUID] = set().union(*(one.push.touches for one in self.apart))
        room = MOST_CHANGES
        passed_over: list[Waiting] = []
        while self.waiting and room > 0:
            one = self.waiting.popleft()
            fits = len(one.push.changes) <= room or not group
            if fits and touched.isdisjoint(one.push.touches):
                group.append(one)
                room -= len(one.push.changes)
            else:
                passed_over.append(one)
            touched |= one.push.touches
        self.put_back(passed_over)
        return group

    def put_back(self, group: Sequence[Waiting]) -> None:
        """Let pushes wait at the front, in this order."""
        self.waiting.extendleft(reversed(group))
