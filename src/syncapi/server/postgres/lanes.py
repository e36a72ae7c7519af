"""How many of a pool's connections may be held by those who may have to wait for a lock.

Somebody may keep a document or a tenant's clock locked for as long as he likes, in ``psql`` say.
Whoever needs it waits for `LOCK_SECONDS`, gives the connection back, and tries again later. So
neither the writes of one tenant nor those that met a lock can take all connections of a pool.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID
from weakref import WeakValueDictionary

from syncapi.server.postgres.failures import locked

LOCK_SECONDS: Final = 1.0
"""A transaction waits so long for one lock before it gives its connection back."""


class Lanes:
    """The connections of one pool, as far as writes take them.

    Args:
        size: of the pool. One tenant's writes hold half of it at most; those that have met a
            lock, of all tenants together, a quarter.
    """

    def __init__(self, size: int) -> None:
        self._of_tenant = max(2, size // 2)
        self._held_up = asyncio.Semaphore(max(1, size // 4))
        self._tenants: WeakValueDictionary[UUID, asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def place(
        self, tenant_id: UUID, *, until: float, is_held_up: bool
    ) -> AsyncIterator[None]:
        """A place for one write.

        Args:
            tenant_id: whose write it is.
            until: when it gives up waiting, by the monotonic clock.
            is_held_up: whether it has met a lock.

        Raises:
            Unavailable: others hold all places until then.
        """
        places = self._held_up if is_held_up else self._places_of(tenant_id)
        try:
            async with asyncio.timeout(until - time.monotonic()):
                await places.acquire()
        except TimeoutError as error:
            raise locked() from error
        try:
            yield
        finally:
            places.release()

    def _places_of(self, tenant_id: UUID) -> asyncio.Semaphore:
        places = self._tenants.get(tenant_id)
        if places is None:
            places = self._tenants[tenant_id] = asyncio.Semaphore(self._of_tenant)
        return places
