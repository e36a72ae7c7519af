"""Pushes to one tenant that wait in this process share a transaction.

A tenant's pushes cannot commit side by side, since each takes the tenant's clock. So while one
transaction runs, the pushes that arrive are collected, and the next transaction takes them all.
Each push has its own answer and its own failure.

A push that fails, takes long, or needs a locked document leaves the line and is carried out by
itself. Pushes behind it that touch the same documents wait for it, in their order; others do not.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Final
from uuid import UUID

from syncapi.protocol.push import PushRequest
from syncapi.server.domain.access import TenantScope
from syncapi.server.domain.errors import Unavailable
from syncapi.server.postgres.databases import Databases, TenantConnection
from syncapi.server.postgres.failures import is_statement_timeout, locked
from syncapi.server.postgres.push import HeldUp, Raced, others_as_raced
from syncapi.server.usecases import push as pushing
from syncapi.server.usecases.access import Rights
from syncapi.server.usecases.missing_bytes import Looks, Unseen
from syncapi.server.usecases.push import Outcome
from syncapi.server.usecases.push_admission import Admission, rights_of
from syncapi.server.usecases.push_changes import Push
from syncapi.server.usecases.push_line import Line, Waiting
from syncapi.server.usecases.telemetry import UNCOUNTED, Activity
from syncapi.server.usecases.uploads import UploadRules
from syncapi.server.usecases.writes import Confirmation

MOST_WAITING = 2000
"""How many pushes of a tenant may wait in this process; further ones are refused for now."""

GROUP_SECONDS = 5.0
"""A group that takes longer is broken off, and each of its pushes is tried by itself."""

_PAUSE_SECONDS: Final = 0.1
"""The wait between two attempts while another transaction holds the tenant's clock."""


class _TookLong(Exception):  # noqa: N818 - no error of the group
    """A group was broken off, so that others need not wait for it."""


@asynccontextmanager
async def _in_time() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(GROUP_SECONDS):
            yield
    except TimeoutError as error:
        raise _TookLong from error


class GroupCommit:
    """Carries out pushes; the pushes of one tenant share transactions."""

    def __init__(
        self,
        databases: Databases,
        rights: Rights,
        rules: UploadRules,
        activity: Activity = UNCOUNTED,
        *,
        patience: float = 30.0,
        looks: Callable[[], Looks] | None = None,
    ) -> None:
        """Take the parts.

        Args:
            databases: where the documents are.
            rights: says whether a member may still push.
            rules: what may be kept.
            activity: receives reports of what was done.
            patience: seconds after which a push that could not be carried out fails.
            looks: makes the object that looks for the bytes of files; without it, all bytes are
                taken to be there.
        """
        self._databases = databases
        self._rights = rights
        self._activity = activity
        self._rules = rules
        self._patience = patience
        self._looks = looks
        self._lines: dict[tuple[UUID, str], Line] = {}

    async def push(self, scope: TenantScope, request: PushRequest) -> Outcome:
        """Carry out one push. When this returns, it is committed.

        Raises:
            InvalidInput: a document or change id occurs twice.
            NotFound, Forbidden: the right to push was lost while the push waited.
            Unavailable: the database does not answer, another transaction keeps a document
                locked, or too many pushes wait. The push may have been carried out all the same:
                sending it again is harmless.
        """
        push = Push.of(scope, request)
        line = self._lines.setdefault((scope.tenant_id, scope.database), Line(scope))
        if len(line.waiting) + len(line.apart) >= MOST_WAITING:
            raise Unavailable("Too many pushes of this tenant are waiting.", retry_after=1)
        loop = asyncio.get_running_loop()
        now = time.monotonic()
        mine = Waiting(push, loop.create_future(), now, now + self._patience)
        line.waiting.append(mine)
        timer = loop.call_later(self._patience, self._give_up, line, mine)
        mine.outcome.add_done_callback(lambda _: timer.cancel())
        self._set_going(line)
        # The push goes on when its client hangs up: the client may send it again.
        return await asyncio.shield(mine.outcome)

    def _set_going(self, line: Line) -> None:
        if line.runner is None:
            line.runner = asyncio.create_task(self._drain(line))

    async def _drain(self, line: Line) -> None:
        try:
            while group := line.next_group():
                await self._carry_out(line, group)
        finally:
            line.runner = None
            if not line.waiting and not line.apart:
                del self._lines[line.tenant_id, line.database]

    async def _carry_out(self, line: Line, group: Sequence[Waiting]) -> None:
        try:
            outcomes = await self._transaction(line, group)
        except Exception as error:  # noqa: BLE001 - each waiter gets its own
            if left := _unanswered(group):
                await self._recover(line, left, error)
            return
        line.clock_is_held = False
        if outcomes:
            changes = sum(len(one.push.changes) for one in outcomes)
            self._activity.group_committed(len(outcomes), changes)
        for one, outcome in outcomes.items():
            self._answer(one, outcome)

    async def _recover(self, line: Line, group: Sequence[Waiting], error: Exception) -> None:
        """Decide how the pushes of a group whose transaction failed go on."""
        match error:
            case HeldUp(by_clock=True):
                await self._wait_for_clock(line, group)
            case HeldUp():
                await self._pass_by_locked(line, group)
            case Unavailable() if not is_statement_timeout(error):
                self._fail(group, error)
            case Raced() | _TookLong():
                self._set_apart(line, group)
            case Unseen(paths=paths, documents=ids):
                wanted = {*paths, *ids}
                concerned = [
                    one
                    for one in group
                    if not wanted.isdisjoint(one.push.files | one.push.touches)
                ]
                self._part(line, group, concerned)
            case _ if len(group) > 1:
                self._set_apart(line, group)
            case _:
                self._fail(group, error)

    async def _admit(self, group: Sequence[Waiting]) -> tuple[list[Waiting], list[Push]]:
        """Find the pushes whose users may still push, with their rights now; fail the others."""
        scopes = await rights_of(self._rights, group)
        admitted, pushes = [], []
        for one in group:
            scope = scopes[one.push.scope]
            if isinstance(scope, TenantScope):
                admitted.append(one)
                pushes.append(replace(one.push, scope=scope))
            else:
                self._fail([one], scope)
        return admitted, pushes

    async def _transaction(self, line: Line, group: Sequence[Waiting]) -> dict[Waiting, Outcome]:
        """Run the group without locks; if another transaction interferes, run it with locks."""
        scope = group[0].push.scope
        until = max(one.until for one in group)
        try:
            with others_as_raced():
                async with self._databases.autocommitting(
                    scope, until=until, is_held_up=line.clock_is_held
                ) as connection:
                    return await self._apply(connection, self._make_admission(group))
        except HeldUp:
            raise
        except Raced:
            admission = self._make_admission(group)

            async def work(tx: TenantConnection) -> dict[Waiting, Outcome]:
                await pushing.lock(tx, [one.push for one in _unanswered(group)])
                return await self._apply(tx, admission)

            async def ask() -> None:
                async with _in_time():
                    await admission.ask()

            with others_as_raced():
                return await self._databases.attempt(scope, work, until=until, ask=ask)

    def _make_admission(self, group: Sequence[Waiting]) -> Admission:
        return Admission(lambda: self._admit(_unanswered(group)))

    async def _apply(
        self, connection: TenantConnection, admission: Admission
    ) -> dict[Waiting, Outcome]:
        """Carry out the pushes that are admitted after the wait for the connection."""
        async with _in_time():
            await admission.ask()
            if not admission.pushes:
                return {}
            looks = self._looks and self._looks()
            outcomes = await pushing.apply(connection, admission.pushes, self._rules, looks)
        return dict(zip(admission.admitted, outcomes, strict=True))

    async def _wait_for_clock(self, line: Line, group: Sequence[Waiting]) -> None:
        """Put the group back: all pushes of the tenant must wait, each until its time is over."""
        line.clock_is_held = True
        now = time.monotonic()
        self._fail([one for one in group if one.until <= now], locked())
        line.put_back([one for one in group if one.until > now])
        await asyncio.sleep(_PAUSE_SECONDS)

    async def _pass_by_locked(self, line: Line, group: Sequence[Waiting]) -> None:
        """Set apart the pushes whose documents or files are locked; the others go on.

        If no locked row is found, each push is carried out by itself. This happens when another
        transaction is about to insert the same id, or locks the whole table.
        """
        pushes = [one.push for one in group]
        try:
            held = await self._databases.attempt(
                pushes[0].scope, partial(pushing.locked, pushes=pushes)
            )
        except Unavailable as refusal:
            self._fail(group, refusal)
            return
        except Exception:  # noqa: BLE001 - each push will meet the same error by itself
            held = set()
        blocked = [
            one
            for one in group
            if not held or not held.isdisjoint(one.push.touches | one.push.files)
        ]
        self._part(line, group, blocked, is_held_up=bool(held))

    def _part(
        self,
        line: Line,
        group: Sequence[Waiting],
        apart: Iterable[Waiting],
        *,
        is_held_up: bool = False,
    ) -> None:
        """Set some pushes of the group apart; the others go on."""
        self._set_apart(line, apart, is_held_up=is_held_up)
        line.put_back([one for one in group if one not in line.apart])

    def _set_apart(
        self, line: Line, group: Iterable[Waiting], *, is_held_up: bool = False
    ) -> None:
        """Carry out each push by itself, so that none fails because of another."""
        for one in group:
            alone = self._carry_out_alone(line, one, is_held_up=is_held_up)
            line.apart[one] = asyncio.create_task(alone)

    async def _carry_out_alone(self, line: Line, one: Waiting, *, is_held_up: bool) -> None:
        confirm = Confirmation(self._rights, one.push.scope, float("-inf"))
        looks = self._looks and self._looks()

        async def work(tx: TenantConnection) -> Outcome:
            await pushing.lock(tx, [one.push])
            await confirm()
            push = replace(one.push, scope=confirm.scope)
            (outcome,) = await pushing.apply(tx, [push], self._rules, looks)
            return outcome

        async def write() -> Outcome:
            return await self._databases.writing(
                one.push.scope, work, until=one.until, is_held_up=is_held_up, ask=confirm
            )

        try:
            outcome = await (write() if looks is None else looks.during(write))
        except Exception as error:  # noqa: BLE001 - its waiter gets it
            self._fail([one], error)
        else:
            self._activity.group_committed(1, len(one.push.changes))
            self._answer(one, outcome)
        finally:
            del line.apart[one]
            self._set_going(line)

    def _give_up(self, line: Line, one: Waiting) -> None:
        """Refuse a push whose time is over, unless it is being carried out."""
        if one in line.waiting:
            line.waiting.remove(one)
            self._fail([one], locked())
            self._set_going(line)

    def _answer(self, one: Waiting, outcome: Outcome) -> None:
        self._activity.pushed(outcome.statuses)
        if not one.outcome.done():
            one.outcome.set_result(outcome)

    def _fail(self, group: Iterable[Waiting], error: BaseException) -> None:
        for one in group:
            self._activity.push_failed(error)
            if not one.outcome.done():
                one.outcome.set_exception(error)
                one.outcome.exception()  # marks it as seen, since the waiter may have hung up


def _unanswered(group: Iterable[Waiting]) -> list[Waiting]:
    """The pushes of a group that were not refused meanwhile."""
    return [one for one in group if not one.outcome.done()]
