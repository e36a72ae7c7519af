"""Sliding windows in Redis, which all processes share."""

from limits import RateLimitItem
from redis.asyncio import Redis

from syncapi.server.redis.quota import Quota

# The sliding window counter of the `limits` library (4.x): its keys and its arithmetic, so that
# processes of older versions count along. That library asks for the counters after the hit, by a
# second round trip; here the hit returns them. Times are in milliseconds.
_HIT = """
local window = tonumber(ARGV[2]) * 1000
local ends = redis.call('pttl', KEYS[2])
if ends > 0 and ends < window then
  -- the current window is over: it becomes the previous one
  redis.call('rename', KEYS[2], KEYS[1])
  redis.call('set', KEYS[2], 0, 'PX', ends + window)
end
local previous = tonumber(redis.call('get', KEYS[1])) or 0
local previous_ends = math.max(0, redis.call('pttl', KEYS[1]))
local current = tonumber(redis.call('get', KEYS[2])) or 0
local admitted = math.floor(previous * previous_ends / window) + current < tonumber(ARGV[1])
if admitted then
  current = current + 1
  if redis.call('exists', KEYS[2]) == 1 then
    redis.call('incr', KEYS[2])
  else
    redis.call('set', KEYS[2], 1, 'PX', window * 2)
  end
end
return {admitted and 1 or 0, previous, previous_ends, current, redis.call('pttl', KEYS[2])}
"""


class SharedWindows:
    """Counts by key: one round trip a hit.

    Two counters a key; the current one is kept for a second window, as the previous one.
    """

    def __init__(self, item: RateLimitItem, redis: Redis, key_prefix: str) -> None:
        self._item = item
        self._prefix = f"{key_prefix}:rate"
        self._hit = redis.register_script(_HIT)

    async def hit(self, key: str) -> Quota:
        """Count one hit of ``key``, unless it is over the limit.

        Raises:
            RedisError, OSError: Redis does not answer.
        """
        limit, window = self._item.amount, self._item.get_expiry()
        current_key = f"{self._prefix}:{{{self._item.key_for(key)}}}"  # {}: one node of a cluster
        admitted, previous, previous_ends, current, ends = await self._hit(
            keys=[f"{current_key}/-1", current_key], args=[limit, window]
        )
        left = ends / 1000 - window
        return Quota.of_sliding_window(
            is_admitted=bool(admitted),
            limit=limit,
            window=window,
            previous=previous,
            current=current,
            left=left if left > 0 else previous_ends / 1000 or window,
        )
