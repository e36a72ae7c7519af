"""Remembers tenants' heads in this process, to notice tables that were restored meanwhile."""

from functools import partial
from uuid import UUID

from structlog import get_logger

from syncapi.server.domain.access import TenantScope
from syncapi.server.domain.errors import Unavailable
from syncapi.server.domain.feed import Head
from syncapi.server.postgres.databases import Databases
from syncapi.server.postgres.feed import Heads, void_if_put_back

log = get_logger(__name__)

_MOST_REMEMBERED = 50_000


class HeadMemory:
    """The newest head that was seen of each tenant.

    A feed's time goes back on one lineage only if tables were restored in a running server, from a
    dump for instance, which the database cannot notice. Then the tenant's feed is voided, since it
    is not known which other tables were restored.
    """

    def __init__(self, databases: Databases, heads: Heads) -> None:
        self._databases = databases
        self._heads = heads
        self._newest: dict[UUID, Head] = {}

    async def check(self, scope: TenantScope, head: Head) -> None:
        """Compare a head with the one that is remembered, and remember it.

        Raises:
            Unavailable: the tenant's rows were put back, and its cursors are void from now on.
        """
        newest = self._newest.get(scope.tenant_id)
        if newest is None or not _went_back(newest, head):
            if len(self._newest) >= _MOST_REMEMBERED:
                self._newest.clear()
            self._newest[scope.tenant_id] = head
            return
        # Answers may overtake each other: only a read that began after this one counts.
        head = await self._heads.read(scope)
        if not _went_back(newest, head):
            return
        work = partial(void_if_put_back, lineage=newest.lineage, last=newest.last)
        is_voided = await self._databases.writing(scope, work)
        self._newest.pop(scope.tenant_id, None)
        if is_voided:
            log.error(
                "feed_put_back",
                tenant=str(scope.tenant_id),
                database=scope.database,
                done="every client synchronises anew; when all tables are put back, run "
                f"`syncapi feed void --tenant {scope.tenant_id}`",
            )
            raise Unavailable(
                "The tenant's tables were put back to an earlier state. Try again.", retry_after=1
            )


def _went_back(newest: Head, head: Head) -> bool:
    return newest.lineage == head.lineage and head.last < newest.last
