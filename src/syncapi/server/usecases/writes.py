"""Writes of members, by the rights and in the database that hold when they commit."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from syncapi.server.domain.access import TenantScope
from syncapi.server.postgres.databases import Databases, TenantConnection
from syncapi.server.usecases.access import Rights, confirmed_in_place

REMEMBERED_SECONDS = 1.0
"""How long a member's rights need not be read again."""

Result = TypeVar("Result")


class Confirmation:
    """Reads a member's rights again when it is called, unless they were read a moment ago.

    Attributes:
        scope: as it was read last.
    """

    def __init__(self, rights: Rights, scope: TenantScope, read_at: float) -> None:
        """Begin with rights that were read at ``read_at``, by the monotonic clock."""
        self.scope = scope
        self._rights = rights
        self._read_at = read_at

    async def __call__(self) -> None:
        """Read the rights, unless they were read a moment ago.

        Raises:
            NotFound, Forbidden, Unavailable: as `confirmed_in_place` says.
        """
        asked_at = time.monotonic()
        if asked_at - self._read_at >= REMEMBERED_SECONDS:
            self.scope = await confirmed_in_place(self._rights, self.scope)
            self._read_at = asked_at


class Writes:
    """Carries out the writes of requests.

    A request may wait for half a minute for a locked document. Meanwhile its sender may be removed
    from the tenant, or the tenant may move.
    """

    def __init__(self, databases: Databases, rights: Rights) -> None:
        self._databases = databases
        self._rights = rights

    async def writing(
        self,
        scope: TenantScope,
        work: Callable[[TenantConnection], Awaitable[Result]],
        *,
        read_at: float | None = None,
    ) -> Result:
        """Do as `Databases.writing` does, unless the right to it is lost before the commit.

        Rights that were not read a moment ago are also read before each attempt: a pooler may have
        no second connection for a task that holds one.

        Args:
            scope: the tenant and user that it serves.
            work: what to do in the transaction.
            read_at: when the rights were read, by the monotonic clock; by default when the scope
                was granted.

        Raises:
            NotFound, Forbidden: the right was lost meanwhile.
            Unavailable: the tenant has moved meanwhile, or the control database does not answer
                in time; and as `Databases.writing` says.
        """
        confirm = Confirmation(
            self._rights, scope, scope.granted_at if read_at is None else read_at
        )

        async def confirmed(tx: TenantConnection) -> Result:
            result = await work(replace(tx, confirm=confirm))
            # Any of its statements may have waited, also the one that took the clock.
            await confirm()
            return result

        return await self._databases.writing(scope, confirmed, ask=confirm)
