"""Where the numbered pages of the timestamp protocol begin.

Clients of that protocol know ``since`` and a page number, and nothing that says where the last
page ended. An OFFSET would skip rows: one that is modified moves to the end of the feed and all
behind it move up. So the cursor behind each page is kept here for a while.

Two devices of one user may page through the same ``since`` at once, or one may begin again, so:

- A position is never overwritten: the older one repeats rows and skips none.
- All positions of a run go on from the one of page 2, and so have its upper bound. They end with
  it: else a run that begins anew would fall into an older one that brings less than it promised.
"""

import time
from collections.abc import Awaitable, Callable
from typing import cast
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import RedisError

from syncapi.domain.expiring_cache import ExpiringCache

KEPT_SECONDS = 3600
PAGES_BEHIND = 100
"""Pages that stay known behind the last: enough for retries, and memory stays bounded."""

_SECOND = 2  # page 1 begins at `since`
_RUNS_KEPT_HERE = 1000

# KEYS the run  ARGV page, cursor, seconds, page to forget. Returns the cursor that is kept.
_KEEP = f"""
if redis.call('EXISTS', KEYS[1]) == 0 then
  if ARGV[1] ~= '{_SECOND}' then return false end
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
  redis.call('EXPIRE', KEYS[1], ARGV[3])
  return ARGV[2]
end
redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2])
redis.call('HDEL', KEYS[1], ARGV[4])
return redis.call('HGET', KEYS[1], ARGV[1])
"""


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
        self._here: ExpiringCache[str, dict[int, str]] = ExpiringCache(_RUNS_KEPT_HERE)

    async def find(self, tenant: UUID, user: UUID | None, run: str, page: int) -> str | None:
        """The cursor that page `page` of a run begins at, or None if it is no longer known."""
        key = self._key(tenant, user, run)
        try:
            if self._redis is not None:
                kept = await self._redis.hget(key, str(page))
                if kept is not None:
                    return _text(kept)
        except (RedisError, OSError, TimeoutError):
            pass  # Redis is gone: this process may remember
        return (self._here.get(key, self._now()) or {}).get(page)

    async def keep(
        self, tenant: UUID, user: UUID | None, run: str, page: int, cursor: str
    ) -> str | None:
        """Remember where page `page` begins, unless that is known.

        Returns the cursor that `find` will give: this one, or an older one; None where the run
        has come to its end in time, so that nothing is remembered.
        """
        key = self._key(tenant, user, run)
        forgotten = page - PAGES_BEHIND if page - PAGES_BEHIND > _SECOND else 0
        try:
            if self._redis is not None:
                script = self._redis.eval(
                    _KEEP, 1, key, str(page), cursor, str(KEPT_SECONDS), str(forgotten)
                )
                kept = await cast("Awaitable[bytes | str | None]", script)
                return None if kept is None else _text(kept)
        except (RedisError, OSError, TimeoutError):
            pass  # Redis is gone: this process remembers
        return self._keep_here(key, page, cursor, forgotten)

    def _keep_here(self, key: str, page: int, cursor: str, forgotten: int) -> str | None:
        pages = self._here.get(key, self._now())
        if pages is None:
            if page != _SECOND:
                return None
            pages = {}
            self._here.put(key, pages, self._now() + KEPT_SECONDS)
        pages.pop(forgotten, None)
        return pages.setdefault(page, cursor)

    def _key(self, tenant: UUID, user: UUID | None, run: str) -> str:
        return f"{self._prefix}:pages:{tenant}:{user}:{run}"


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
