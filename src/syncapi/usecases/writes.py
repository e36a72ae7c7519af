"""What a member writes goes by the rights, and to the place, of when it commits."""

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from syncapi.domain.access import TenantScope
from syncapi.postgres.databases import Databases, TenantConnection
from syncapi.usecases.access import Rights, confirmed_in_place

REMEMBERED_SECONDS = 1.0
"""Within so long after a member was let in, what was read then will do."""

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
    ) -> Result:
        """Do as `Databases.writing` does, unless the right to it is lost before the commit.

        Raises:
            NotFound, Forbidden: the right was lost meanwhile.
            Unavailable: the tenant has moved meanwhile; and as `Databases.writing` says.
        """

        async def confirmed(tx: TenantConnection) -> Result:
            result = await work(tx)
            # After the work: any of its statements may be the one that waited.
            if time.monotonic() - scope.granted_at >= REMEMBERED_SECONDS:
                await confirmed_in_place(self._rights, scope)
            return result

        return await self._databases.writing(scope, confirmed)
