"""Where the numbered pages of the timestamp protocol begin.

Clients of that protocol know ``since`` and a page number, and nothing that says where the last
page ended. An OFFSET would skip rows: one that is modified moves to the end of the feed and all
behind it move up. So the cursor behind each page is kept here for a while.

A position is never overwritten while it lasts: two devices of one user may page through the same
``since`` at once, and the older position is the one that repeats rows and skips none.
"""

import time
from collections.abc import Callable
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import RedisError

from syncapi.domain.expiring_cache import ExpiringCache

KEPT_SECONDS = 600
_KEPT_HERE = 10_000


class PagePositions:
    """Cursors by page number: in Redis for all processes, else in this one."""

    def __init__(
        self,
        redis: Redis | None,
        *,
        key_prefix: str = "syncapi",
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Use ``redis``, which stays the caller's to close."""
        self._redis = redis
        self._prefix = key_prefix
        self._now = now
        self._here: ExpiringCache[str, str] = ExpiringCache(_KEPT_HERE)

    async def find(self, tenant: UUID, user: UUID | None, run: str, page: int) -> str | None:
        """The cursor that page `page` of a run begins at, or None if it is no longer known."""
        key = self._key(tenant, user, run, page)
        try:
            kept = await self._redis.get(key) if self._redis is not None else None
        except (RedisError, OSError, TimeoutError):
            kept = None
        if kept is None:
            return self._here.get(key, self._now())
        return kept.decode() if isinstance(kept, bytes) else kept

    async def keep(
        self, tenant: UUID, user: UUID | None, run: str, page: int, cursor: str
    ) -> None:
        """Remember where page `page` begins, unless that is known."""
        key = self._key(tenant, user, run, page)
        try:
            if self._redis is not None:
                await self._redis.set(key, cursor, nx=True, ex=KEPT_SECONDS)
                return
        except (RedisError, OSError, TimeoutError):
            pass  # Redis is gone: this process remembers
        if self._here.get(key, self._now()) is None:
            self._here.put(key, cursor, self._now() + KEPT_SECONDS)

    def _key(self, tenant: UUID, user: UUID | None, run: str, page: int) -> str:
        return f"{self._prefix}:page:{tenant}:{user}:{run}:{page}"
