"""How many connections of a pool may be held by writes, which may have to wait for locks.

A transaction, in ``psql`` say, may keep a document or a tenant's clock locked for any time. A
write that needs it waits for `LOCK_SECONDS`, gives its connection back, and tries again later. So
neither the writes of one tenant nor the writes that met a lock can take all connections of a pool.
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
"""How long a transaction waits for one lock before it gives its connection back."""


class Lanes:
    """Limits how many connections of one pool writes hold.

    Args:
        size: the number of connections of the pool. The writes of one tenant hold half of them at
            most, and the writes of all tenants that have met a lock a quarter.
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
        places = self._held_up
        if not is_held_up:
            places = self._tenants.setdefault(tenant_id, asyncio.Semaphore(self._of_tenant))
        try:
            async with asyncio.timeout(until - time.monotonic()):
                await places.acquire()
        except TimeoutError as error:
            raise locked() from error
        try:
            yield
        finally:
            places.release()
