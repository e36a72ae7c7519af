"""What a member writes goes by the rights, and to the place, of when it commits."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from syncapi.domain.access import TenantScope
from syncapi.postgres.databases import Databases, TenantConnection
from syncapi.usecases.access import Rights, confirmed_in_place

REMEMBERED_SECONDS = 1.0
"""Within so long after a member's rights were read, what was read then will do."""

Result = TypeVar("Result")


class Writes:
    """Carries out the writes of requests.

    A request may wait for half a minute until somebody lets go of a document. Its sender may be
    removed meanwhile, or the tenant move.
    """

    def __init__(self, databases: Databases, rights: Rights) -> None:
        self._databases = databases
        self._rights = rights

    async def writing(
        self,
        scope: TenantScope,
        work: Callable[[TenantConnection], Awaitable[Result]],
        *,
        is_long: bool = False,
    ) -> Result:
        """Do as `Databases.writing` does, unless the right to it is lost before the commit.

        Args:
            scope: whose work it is.
            work: what to do in the transaction.
            is_long: the rights are read again in any case.

        Raises:
            NotFound, Forbidden: the right was lost meanwhile.
            Unavailable: the tenant has moved meanwhile, or the control database does not answer
                in time; and as `Databases.writing` says.
        """

        async def confirmed(tx: TenantConnection) -> Result:
            confirm = self._confirmation(scope, float("-inf") if is_long else scope.granted_at)
            result = await work(replace(tx, confirm=confirm))
            # Any of its statements may be the one that waited, the taking of the clock too.
            await confirm()
            return result

        return await self._databases.writing(scope, confirmed)

    def _confirmation(self, scope: TenantScope, read_at: float) -> Callable[[], Awaitable[None]]:
        """Make a function that reads the rights again unless they were read a moment ago."""

        async def confirm() -> None:
            nonlocal read_at
            asked_at = time.monotonic()
            if asked_at - read_at >= REMEMBERED_SECONDS:
                await confirmed_in_place(self._rights, scope)
                read_at = asked_at

        return confirm
