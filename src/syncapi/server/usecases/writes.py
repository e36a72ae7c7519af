"""What a member writes goes by the rights, and to the place, of when it commits."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from syncapi.server.domain.access import TenantScope
from syncapi.server.postgres.databases import Databases, TenantConnection
from syncapi.server.usecases.access import Rights, confirmed_in_place

REMEMBERED_SECONDS = 1.0
"""Within so long after a member's rights were read, what was read then will do."""

Result = TypeVar("Result")


class Confirmation:
    """Reads a member's rights again when it is called, unless they were read a moment ago.

    Attributes:
        scope: what holds, as it was read last.
    """

    def __init__(self, rights: Rights, scope: TenantScope, read_at: float) -> None:
        """Begin with rights that were read at ``read_at``, by the monotonic clock."""
        self.scope = scope
        self._rights = rights
        self._read_at = read_at

    async def __call__(self) -> None:
        """Read them.

        Raises:
            NotFound, Forbidden, Unavailable: as `confirmed_in_place` says.
        """
        asked_at = time.monotonic()
        if asked_at - self._read_at >= REMEMBERED_SECONDS:
            self.scope = await confirmed_in_place(self._rights, self.scope)
            self._read_at = asked_at


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
        read_at: float | None = None,
    ) -> Result:
        """Do as `Databases.writing` does, unless the right to it is lost before the commit.

        Rights that are not of a moment ago are asked for before each try, too: a pooler may have
        no second connection for who holds one.

        Args:
            scope: whose work it is.
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
            # Any of its statements may be the one that waited, the taking of the clock too.
            await confirm()
            return result

        return await self._databases.writing(scope, confirmed, ask=confirm)
