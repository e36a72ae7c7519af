"""Pushes to one tenant that wait in this process share a transaction.

A tenant's pushes cannot commit side by side: each takes the tenant's clock. So while one
transaction runs, those that arrive are collected, and the next one takes them all. Each has its
own answer and its own failure.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from syncapi.domain.access import TenantScope
from syncapi.domain.errors import Unavailable
from syncapi.postgres.databases import Databases, TenantConnection
from syncapi.postgres.push import Raced
from syncapi.usecases.activity import UNCOUNTED, Activity
from syncapi.usecases.push import Outcome, Push, apply, apply_locked
from syncapi.usecases.uploads import UploadRules
from syncapi.wire.push import PushRequest

MOST_CHANGES = 1000
"""In one transaction, so that none holds the clock for long."""

MOST_WAITING = 2000
"""Pushes of a tenant in this process; more are told to come back."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    push: Push
    outcome: "asyncio.Future[Outcome]"


@dataclass(slots=True)
class _Line:
    """The pushes of one tenant, in the order of their arrival."""

    waiting: deque[_Waiting] = field(default_factory=deque)
    runner: asyncio.Task[None] | None = None


class GroupCommit:
    """Carries out pushes, those of a tenant together."""

    def __init__(
        self, databases: Databases, rules: UploadRules, activity: Activity = UNCOUNTED
    ) -> None:
        self._databases = databases
        self._activity = activity
        self._rules = rules
        self._lines: dict[UUID, _Line] = {}

    async def push(self, scope: TenantScope, request: PushRequest) -> Outcome:
        """Carry out one push. When this returns, it is committed.

        Raises:
            InvalidInput: a document or change id stands twice.
            Unavailable: the database does not answer, or too many wait. What became of the push
                may be unknown: sending it again is harmless.
        """
        push = Push.of(scope, request)
        line = self._lines.setdefault(scope.tenant_id, _Line())
        if len(line.waiting) >= MOST_WAITING:
            raise Unavailable("Too many pushes of this tenant are waiting.", retry_after=1)
        mine = _Waiting(push, asyncio.get_running_loop().create_future())
        line.waiting.append(mine)
        if line.runner is None:
            line.runner = asyncio.create_task(self._drain(scope.tenant_id, line))
        # A client that hangs up does not take back what it sent: it may ask again.
        return await asyncio.shield(mine.outcome)

    async def _drain(self, tenant: UUID, line: _Line) -> None:
        try:
            while line.waiting:
                await self._carry_out(_next_group(line.waiting))
        finally:
            del self._lines[tenant]

    async def _carry_out(self, group: Sequence[_Waiting]) -> None:
        try:
            outcomes = await self._transaction([one.push for one in group])
        except Unavailable as refusal:
            self._fail(group, refusal)
        except Exception as error:  # noqa: BLE001 - each waiter gets its own
            await self._one_by_one(group, error)
        else:
            self._activity.group_committed(len(group), sum(len(one.push.changes) for one in group))
            for one, outcome in zip(group, outcomes, strict=True):
                self._activity.pushed(outcome.statuses)
                _answer(one, outcome)

    async def _one_by_one(self, group: Sequence[_Waiting], error: Exception) -> None:
        """One of the group brought the transaction down: the others must not suffer for it."""
        if len(group) == 1:
            self._fail(group, error)
            return
        for one in group:
            await self._carry_out([one])

    def _fail(self, group: Sequence[_Waiting], error: Exception) -> None:
        for one in group:
            self._activity.push_failed(error)
            if not one.outcome.done():
                one.outcome.set_exception(error)
                one.outcome.exception()  # seen: a waiter that hung up is no unhandled error

    async def _transaction(self, pushes: Sequence[Push]) -> list[Outcome]:
        """Without locks, and, where somebody came in between, with them."""
        scope = pushes[0].scope
        try:
            async with self._databases.autocommitting(scope) as connection:
                return await apply(connection, pushes, self._rules)
        except Raced:

            async def work(tx: TenantConnection) -> list[Outcome]:
                return await apply_locked(tx, pushes, self._rules)

            return await self._databases.writing(scope, work)


def _next_group(waiting: deque[_Waiting]) -> list[_Waiting]:
    """The first of the line, and those behind it that touch nothing it or they touch.

    A document written twice in one transaction would leave one version, and the first write
    would be nowhere. Whoever is passed over keeps all that touch the same behind itself.
    """
    group: list[_Waiting] = []
    touched: set[UUID] = set()
    room = MOST_CHANGES
    passed_over: list[_Waiting] = []
    while waiting and room > 0:
        one = waiting.popleft()
        fits = len(one.push.changes) <= room or not group
        if fits and touched.isdisjoint(one.push.touches):
            group.append(one)
            room -= len(one.push.changes)
        else:
            passed_over.append(one)
        touched |= one.push.touches
    waiting.extendleft(reversed(passed_over))
    return group


def _answer(one: _Waiting, outcome: Outcome) -> None:
    if not one.outcome.done():
        one.outcome.set_result(outcome)
