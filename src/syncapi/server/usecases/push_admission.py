"""Which pushes of a group are admitted, by the rights that their users have now."""

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
"""How many users' rights are read at once: with more, the last would have no answer in time."""

Admitted: TypeAlias = tuple[list[Waiting], list[Push]]
"""The admitted, and their pushes with the rights of now."""


class Admission:
    """Knows which pushes of a group are admitted, and reads the rights again after a moment.

    Attributes:
        admitted, pushes: as of the last `ask`.
    """

    def __init__(self, admit: Callable[[], Awaitable[Admitted]]) -> None:
        self.admitted: list[Waiting] = []
        self.pushes: list[Push] = []
        self._admit = admit
        self._asked_at = float("-inf")

    async def ask(self) -> None:
        """Read the rights, unless they were read a moment ago."""
        now = time.monotonic()
        if now - self._asked_at >= REMEMBERED_SECONDS:
            self.admitted, self.pushes = await self._admit()
            self._asked_at = now


async def rights_of(
    rights: Rights, group: Sequence[Waiting]
) -> dict[TenantScope, TenantScope | BaseException]:
    """For each scope of the group, the scope as it is now, or the error that ends it."""
    now = time.monotonic()
    # A user's rights are read once, for the user's push that has waited longest.
    waited: dict[TenantScope, bool] = {}
    for one in group:
        is_long = now - one.arrived > REMEMBERED_SECONDS
        waited[one.push.scope] = waited.get(one.push.scope, False) or is_long
    slots = asyncio.Semaphore(_ASKED_AT_ONCE)

    async def confirm(scope: TenantScope, *, remembered: bool) -> TenantScope:
        async with slots:
            return await confirmed_in_place(rights, scope, remembered=remembered)

    answers = await asyncio.gather(
        *(confirm(scope, remembered=not is_long) for scope, is_long in waited.items()),
        return_exceptions=True,
    )
    return dict(zip(waited, answers, strict=True))
