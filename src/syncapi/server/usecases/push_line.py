"""The pushes of one tenant that have no answer yet, and whose turn it is."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from syncapi.server.domain.access import TenantScope
from syncapi.server.usecases.push import Outcome
from syncapi.server.usecases.push_changes import Push

MOST_CHANGES = 1000
"""In one transaction, so that none holds the clock for long."""


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """A push that has no answer yet.

    Attributes:
        arrived: when it came, by the monotonic clock.
        until: when it gives up, by the same.
    """

    push: Push
    outcome: "asyncio.Future[Outcome]"
    arrived: float
    until: float


class Line:
    """The pushes of one tenant to one database.

    Attributes:
        waiting: in the order of their arrival.
        apart: those that left the line, and go on each by itself.
        runner: forms groups of those that wait and carries them out; None while all must wait.
        clock_is_held: somebody else does not let go of the tenant's clock.
    """

    def __init__(self, scope: TenantScope) -> None:
        self.tenant_id = scope.tenant_id
        self.database = scope.database
        self.waiting: deque[Waiting] = deque()
        self.apart: dict[Waiting, asyncio.Task[None]] = {}
        self.runner: asyncio.Task[None] | None = None
        self.clock_is_held = False

    def next_group(self) -> list[Waiting]:
        """Take out the first of the line, and those behind it that touch nothing it or they touch.

        A document written twice in one transaction would leave one version, and the first write
        would be nowhere. Who is passed over holds back all behind it that touch the same, and
        so do those that are apart.
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
