"""Where the numbered pages of the timestamp protocol begin.

Clients of that protocol know ``since`` and a page number, and nothing that says where the last
page ended. An OFFSET would skip rows: one that is modified moves to the end of the feed and all
behind it move up. So the cursor behind each page is kept here for a while.

Two devices of one user may page through the same ``since`` at once, or one may begin again, so:

- A position is never overwritten: the older one repeats rows and skips none.
- All positions of a run go on from the one of page 2, and so have its upper bound. They end with
  it: else a run that begins anew would fall into an older one that brings less than it promised.
- What cannot be kept there (Redis did not answer in time, or forgot the run) is kept in this
  process under a page number that nobody else is given. Under its own number another process, or
  Redis once it answers again, would have the position of another device, which may lie behind rows
  that this client has not been sent.
"""

import secrets
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple, cast
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import RedisError

from syncapi.domain.expiring_cache import ExpiringCache

KEPT_SECONDS = 3600
PAGES_BEHIND = 100
"""Pages that stay known behind the last: enough for retries, and memory stays bounded."""

_SECOND = 2  # page 1 begins at `since`
_RUNS_KEPT_HERE = 1000

LAST_PAGE = 1_000_000_000
_OWN = 500_000_000  # numbers from here on are drawn, and each is given once
_OWN_KEPT = 10_000

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


class Kept(NamedTuple):
    """What was remembered: the number to ask for, and the cursor that `find` will give for it."""

    page: int
    cursor: str


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
        self._own: ExpiringCache[tuple[str, int], str] = ExpiringCache(_OWN_KEPT)

    async def find(self, tenant: UUID, user: UUID | None, run: str, page: int) -> str | None:
        """The cursor that page `page` of a run begins at, or None if it is no longer known."""
        key = self._key(tenant, user, run)
        if page >= _OWN:
            return self._own.get((key, page), self._now())
        if self._redis is None:
            return (self._here.get(key, self._now()) or {}).get(page)
        try:
            kept = await self._redis.hget(key, str(page))
        except (RedisError, OSError, TimeoutError):
            return None
        return None if kept is None else _text(kept)

    async def keep(
        self, tenant: UUID, user: UUID | None, run: str, page: int, cursor: str
    ) -> Kept:
        """Remember where page `page` begins, unless that is known.

        Returns the cursor that `find` will give: this one, or an older one; and for which number.
        """
        key = self._key(tenant, user, run)
        kept = await self._keep_shared(key, page, cursor) if page < _OWN else None
        return self._keep_own(key, cursor) if kept is None else Kept(page, kept)

    async def _keep_shared(self, key: str, page: int, cursor: str) -> str | None:
        forgotten = page - PAGES_BEHIND if page - PAGES_BEHIND > _SECOND else 0
        if self._redis is None:
            return self._keep_here(key, page, cursor, forgotten)
        script = self._redis.eval(
            _KEEP, 1, key, str(page), cursor, str(KEPT_SECONDS), str(forgotten)
        )
        try:
            kept = await cast("Awaitable[bytes | str | None]", script)
        except (RedisError, OSError, TimeoutError):
            return None
        return None if kept is None else _text(kept)

    def _keep_own(self, key: str, cursor: str) -> Kept:
        page = _OWN + secrets.randbelow(LAST_PAGE - _OWN)
        self._own.put((key, page), cursor, self._now() + KEPT_SECONDS)
        return Kept(page, cursor)

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
