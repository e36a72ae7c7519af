"""Where the numbered pages of the timestamp protocol begin.

Clients of that protocol know ``since`` and a page number, and nothing that says where the last
page ended. An OFFSET would skip rows: a document that is modified moves to the end of the feed,
and all behind it move up. So the cursor behind each answer is kept here for a while, under a
number that is drawn at random for this answer alone.

- A number stands for exactly one cursor. No other answer, device or run ever changes it, so it
  leads on from what its own client has been sent, or nowhere.
- It is bound to the `since` and the filters of its run.
- The numbers of a user are kept by run: the newest few of each of the runs that were used last. A
  device that pages quickly pushes out numbers of its own run only, and never those of another
  user.
- All numbers of a user are forgotten an hour after the last answer that drew one.

Without Redis the numbers are kept in this process, and so is one that Redis did not take: it is
handed over as soon as Redis is back. Until then another process cannot know that number, and must
not call it forgotten: a client that begins again because of that, each time that Redis is away for
a moment, never comes to an end. It knows such a number by its height. It waits for it for some
seconds after Redis is back: the process that drew it may have ended.
"""

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import cast
from uuid import UUID

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from syncapi.server.domain.errors import Unavailable
from syncapi.server.domain.expiring_cache import ExpiringCache

KEPT_SECONDS = 3600
RUNS_KEPT = 64
"""Runs of one user, those used last."""

NUMBERS_KEPT = 4
"""Numbers of one run: the one that was asked for last, and the newest answers'."""

FIRST_DRAWN = 1_000_000
LAST_PAGE = 1_000_000_000
"""The highest number: it fits the 32-bit integers of old clients."""

FIRST_DRAWN_HERE = 500_000_000
"""Numbers from here on were drawn by a process without Redis."""

HAND_OVER_SECONDS = 10.0
"""So long after it was missed first, a number may still be handed over to Redis; time without
Redis does not count."""

_USERS_KEPT_HERE = 1000
_MOST_MISSED = 10_000
_MOST_UNSENT = 10_000
_PAUSE_SECONDS = 0.5
"""Between two tries to hand a number over."""

_RETRY_AFTER = 2.0
_WARN_SECONDS = 60.0
_FAILURES = (RedisError, OSError, TimeoutError)
_COUNTED = 0  # stands for every page that a client has counted to by itself

# KEYS a user's numbers  ARGV drawn, entry, asked ('' begins a run), seconds, numbers, runs
# The field `runs` lists the runs, the one used last at the end, each with its numbers likewise.
# Returns 0 where the number is taken.
_KEEP = """
if redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2]) == 0 then return 0 end
local runs = cjson.decode(redis.call('HGET', KEYS[1], 'runs') or '[]')
local run = {}
if ARGV[3] ~= '' then
  for i, numbers in ipairs(runs) do
    for j, number in ipairs(numbers) do
      if number == ARGV[3] then
        run = numbers
        table.remove(runs, i)
        table.remove(run, j)
        break
      end
    end
  end
  table.insert(run, ARGV[3])
end
table.insert(run, ARGV[1])
table.insert(runs, run)
while #run > tonumber(ARGV[5]) do redis.call('HDEL', KEYS[1], table.remove(run, 1)) end
while #runs > tonumber(ARGV[6]) do redis.call('HDEL', KEYS[1], unpack(table.remove(runs, 1))) end
redis.call('HSET', KEYS[1], 'runs', cjson.encode(runs))
redis.call('EXPIRE', KEYS[1], ARGV[4])
return 1
"""

_log = structlog.get_logger(__name__)


def is_drawn(page: int) -> bool:
    """Whether a page number comes from an answer; else the client has counted to it."""
    return page >= FIRST_DRAWN


@dataclass(slots=True)
class _Numbers:
    """The numbers of one user in this process, by the rules of the script above."""

    entries: dict[int, str] = field(default_factory=dict)
    runs: list[list[int]] = field(default_factory=list)

    def keep(self, drawn: int, entry: str, asked: int | None) -> bool:
        """Keep an entry under a number; False where the number is taken."""
        if drawn in self.entries:
            return False
        self.entries[drawn] = entry
        run = next((run for run in self.runs if asked in run), [])
        self.runs = [other for other in self.runs if other is not run]
        if asked is not None:
            run = [*(number for number in run if number != asked), asked]
        run.append(drawn)
        self.runs.append(run[-NUMBERS_KEPT:])
        gone = run[:-NUMBERS_KEPT]
        if len(self.runs) > RUNS_KEPT:
            gone += self.runs.pop(0)
        for number in gone:
            self.entries.pop(number, None)
        return True


@dataclass(frozen=True, slots=True)
class _Kept:
    """A number, what it stands for, and whose it is.

    Attributes:
        asked: the number that was answered; None begins a run.
    """

    key: str
    number: int
    entry: str
    asked: int | None


class PagePositions:
    """Cursors by page number: in Redis for all processes, else in this one."""

    def __init__(
        self,
        redis: Redis | None,
        *,
        key_prefix: str = "syncapi",
        now: Callable[[], float] = time.monotonic,
        draw: Callable[[int], int] = secrets.randbelow,
    ) -> None:
        """Use ``redis``, which stays the caller's to close, after this.

        ``now`` is a clock in seconds. ``draw`` gives a random integer from 0 up to, not including,
        what it is given.
        """
        self._redis = redis
        self._prefix = key_prefix
        self._now = now
        self._draw = draw
        self._warn_again_at = float("-inf")
        self._here: ExpiringCache[str, _Numbers] = ExpiringCache(_USERS_KEPT_HERE)
        self._missed: ExpiringCache[tuple[str, int], float] = ExpiringCache(_MOST_MISSED)
        self._away = 0.0  # seconds without Redis in all, in which no number could be handed over
        self._failed_at: float | None = None
        self._unsent: deque[_Kept] = deque(maxlen=_MOST_UNSENT)
        self._handing_over: asyncio.Task[None] | None = None

    async def aclose(self) -> None:
        """Hand nothing over any more."""
        self._unsent.clear()
        if self._handing_over is not None:
            self._handing_over.cancel()  # which the driver may take for a failure
            await asyncio.wait([self._handing_over])

    async def find(self, tenant: UUID, user: UUID | None, run: str, page: int) -> str | None:
        """The cursor that a drawn number stands for, or None if it is not known for this run.

        ``run`` says what the numbers of the run are bound to.

        Raises:
            Unavailable: this process does not know the number, and Redis cannot be asked, or
                another process may be about to hand it over.
        """
        key = self._key(tenant, user)
        here = self._here.get(key, self._now())
        entry = here.entries.get(page) if here is not None else None
        if entry is None and self._redis is not None:
            entry = await self._find_shared(self._redis, key, page)
        if entry is None or not entry.startswith(f"{run} "):
            return None
        return entry.removeprefix(f"{run} ")

    async def keep(
        self, tenant: UUID, user: UUID | None, run: str, cursor: str, *, asked: int
    ) -> int:
        """Keep the cursor behind an answer; returns the number that stands for it.

        ``asked`` is the page number that was answered; 1 begins a run.
        """
        key, entry = self._key(tenant, user), f"{run} {cursor}"
        line = None if asked == 1 else asked if is_drawn(asked) else _COUNTED
        if self._redis is not None:
            try:
                return await self._keep_shared(self._redis, key, entry, line)
            except _FAILURES as error:
                self._warn(error)
        # Redis may have taken the entry and not have said so: here it gets another number.
        kept = self._keep_here(key, entry, line)
        if self._redis is not None:
            self._unsent.append(kept)
            if self._handing_over is None or self._handing_over.done():
                self._handing_over = asyncio.create_task(self._hand_over(self._redis))
        return kept.number

    async def _find_shared(self, redis: Redis, key: str, page: int) -> str | None:
        try:
            kept = await redis.hget(key, str(page))
        except _FAILURES as error:
            self._warn(error)
            if self._failed_at is None:
                self._failed_at = self._now()
            raise _not_known_yet() from error
        if self._failed_at is not None:
            self._away += self._now() - self._failed_at
            self._failed_at = None
        if kept is None and page >= FIRST_DRAWN_HERE and self._is_awaited(key, page):
            raise _not_known_yet()
        return kept.decode() if isinstance(kept, bytes) else kept

    def _is_awaited(self, key: str, page: int) -> bool:
        """Whether another process may still hand this number over."""
        now = self._now()
        with_redis = now - self._away
        missed_at = self._missed.get((key, page), now)
        if missed_at is None:
            missed_at = with_redis
            self._missed.put((key, page), missed_at, now + KEPT_SECONDS)
        return with_redis - missed_at < HAND_OVER_SECONDS

    async def _keep_shared(self, redis: Redis, key: str, entry: str, asked: int | None) -> int:
        while True:
            number = FIRST_DRAWN + self._draw(FIRST_DRAWN_HERE - FIRST_DRAWN)
            if await _tell(redis, _Kept(key, number, entry, asked)):
                return number

    def _keep_here(self, key: str, entry: str, asked: int | None) -> _Kept:
        numbers = self._here.get(key, self._now()) or _Numbers()
        self._here.put(key, numbers, self._now() + KEPT_SECONDS)
        while True:
            number = FIRST_DRAWN_HERE + self._draw(LAST_PAGE + 1 - FIRST_DRAWN_HERE)
            if numbers.keep(number, entry, asked):
                return _Kept(key, number, entry, asked)

    async def _hand_over(self, redis: Redis) -> None:
        """Give Redis the numbers that it did not take, until it has them all."""
        while self._unsent:
            first = self._unsent[0]
            try:
                await _tell(redis, first)
            except _FAILURES as error:
                self._warn(error)
                await asyncio.sleep(_PAUSE_SECONDS)
            else:
                if self._unsent and self._unsent[0] is first:  # else it fell out
                    self._unsent.popleft()

    def _warn(self, error: Exception) -> None:
        """Say, once a minute at most, that the processes do not share their numbers."""
        if self._now() >= self._warn_again_at:
            self._warn_again_at = self._now() + _WARN_SECONDS
            _log.warning("page_numbers_without_redis", error=f"{type(error).__name__}: {error}")

    def _key(self, tenant: UUID, user: UUID | None) -> str:
        return f"{self._prefix}:pages:{tenant}:{user}"


async def _tell(redis: Redis, kept: _Kept) -> bool:
    """Have Redis keep a number; False where it is taken."""
    limits = (str(KEPT_SECONDS), str(NUMBERS_KEPT), str(RUNS_KEPT))
    asked = "" if kept.asked is None else str(kept.asked)
    arguments = (str(kept.number), kept.entry, asked, *limits)
    return bool(await cast("Awaitable[int]", redis.eval(_KEEP, 1, kept.key, *arguments)))


def _not_known_yet() -> Unavailable:
    return Unavailable(
        "Where this page begins cannot be looked up at the moment. Try again shortly, or send the "
        "`sync_token` of the last page as `cursor`.",
        retry_after=_RETRY_AFTER,
    )
