"""Who of a group of pushes may push, by the rights of now."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

from syncapi.server.domain.access import TenantScope
from syncapi.server.usecases.access import Rights, confirmed_in_place
from syncapi.server.usecases.push_changes import Push
from syncapi.server.usecases.push_line import Waiting
from syncapi.server.usecases.writes import REMEMBERED_SECONDS

_ASKED_AT_ONCE: Final = 50
"""Users whose rights are asked for: of more, the last would have no answer in time."""

Admitted: TypeAlias = tuple[list[Waiting], list[Push]]
"""Those who may push, and what they push with their rights of now."""


class Admission:
    """The admitted of a group, asked for again where that was more than a moment ago.

    Attributes:
        admitted, pushes: as of the last time that it was asked.
    """

    def __init__(self, admit: Callable[[], Awaitable[Admitted]]) -> None:
        self.admitted: list[Waiting] = []
        self.pushes: list[Push] = []
        self._admit = admit
        self._asked_at = float("-inf")

    async def ask(self) -> None:
        """Ask, unless that was a moment ago."""
        now = time.monotonic()
        if now - self._asked_at >= REMEMBERED_SECONDS:
            self.admitted, self.pushes = await self._admit()
            self._asked_at = now


async def rights_of(
    rights: Rights, group: Sequence[Waiting]
) -> dict[TenantScope, TenantScope | BaseException]:
    """By each scope of the group what it is now, or why it is none any more."""
    now = time.monotonic()
    # A user's rights are asked for once, for the one of his pushes that has waited longest.
    waited: dict[TenantScope, bool] = {}
    for one in group:
        is_long = now - one.arrived > REMEMBERED_SECONDS
        waited[one.push.scope] = waited.get(one.push.scope, False) or is_long
    slots = asyncio.Semaphore(_ASKED_AT_ONCE)

    async def confirmed(scope: TenantScope, *, remembered: bool) -> TenantScope:
        async with slots:
            return await confirmed_in_place(rights, scope, remembered=remembered)

    answers = await asyncio.gather(
        *(confirmed(scope, remembered=not is_long) for scope, is_long in waited.items()),
        return_exceptions=True,
    )
    return dict(zip(waited, answers, strict=True))
