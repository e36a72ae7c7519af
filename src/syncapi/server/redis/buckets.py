"""The buckets of rate limits: in this process, or in Redis for all processes."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final

from redis.asyncio import Redis

from syncapi.server.domain.rates import MICROSECONDS, Quota, Rate


class LocalBuckets:
    """Buckets in this process's memory: no I/O, and bounded."""

    def __init__(
        self, rate: Rate, *, size: int = 100_000, now: Callable[[], float] = time.monotonic
    ) -> None:
        """Keep the ``size`` keys that hit last; ``now`` is in seconds."""
        self._rate = rate
        self._size = size
        self._now = now
        self._full_at: OrderedDict[Hashable, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full_at)

    def hit(self, key: Hashable) -> Quota:
        """Count one hit of ``key``, unless it is over the limit."""
        interval, now = self._rate.interval, round(self._now() * MICROSECONDS)
        most = interval * self._rate.limit
        lacking = max(0, self._full_at.get(key, 0) - now)
        if lacking > most:  # the clock was set back
            lacking = 0
        is_admitted = lacking + interval <= most
        if is_admitted:
            lacking += interval
            self._full_at[key] = now + lacking
        self._full_at.move_to_end(key)
        if len(self._full_at) > self._size:
            self._full_at.popitem(last=False)
        return Quota.of(self._rate, lacking, is_admitted=is_admitted)


# As `LocalBuckets.hit` does, by the clock of Redis. Its numbers hold 53 bits: µs until 2255.
_HIT: Final = """
local interval, most = tonumber(ARGV[1]), tonumber(ARGV[1]) * tonumber(ARGV[2])
local time = redis.call('time')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local full_at = tonumber(redis.call('get', KEYS[1])) or 0
local lacking = math.max(0, full_at - now)
if lacking > most then
  lacking = 0
end
if lacking + interval > most then
  return {0, lacking}
end
lacking = lacking + interval
local kept = string.format('%.0f', now + lacking)
redis.call('set', KEYS[1], kept, 'PX', math.ceil(lacking / 1000))
return {1, lacking}
"""


class SharedBuckets:
    """Buckets in Redis, which all processes share: one key and one round trip a hit."""

    def __init__(self, rate: Rate, redis: Redis, key_prefix: str) -> None:
        self._rate = rate
        self._prefix = f"{key_prefix}:bucket"
        self._hit = redis.register_script(_HIT)

    async def hit(self, key: str) -> Quota:
        """Count one hit of ``key``, unless it is over the limit.

        Raises:
            RedisError, OSError: Redis does not answer.
        """
        admitted, lacking = await self._hit(
            keys=[f"{self._prefix}:{key}"], args=[self._rate.interval, self._rate.limit]
        )
        return Quota.of(self._rate, lacking, is_admitted=bool(admitted))
