"""Sliding windows in Redis, which all processes share."""

from limits import RateLimitItem
from limits.aio.storage import RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from redis.asyncio import Redis

from syncapi.redis.quota import Quota


class SharedWindows:
    """Counts by key, through the scripts of the ``limits`` library: two round trips a hit."""

    def __init__(self, item: RateLimitItem, redis: Redis, key_prefix: str) -> None:
        self._item = item
        self._storage = RedisStorage(
            "async+redis://",  # the pool knows where Redis is
            implementation="redispy",
            key_prefix=f"{key_prefix}:rate",
            connection_pool=redis.connection_pool,  # type: ignore[arg-type]  # as its docs say
        )
        self._strategy = SlidingWindowCounterRateLimiter(self._storage)

    async def hit(self, key: str) -> Quota:
        """Count one hit of ``key``, unless it is over the limit.

        Raises:
            RedisError, OSError: Redis does not answer.
        """
        window = self._item.get_expiry()
        is_admitted = await self._strategy.hit(self._item, key)
        # Two counters; the current one is kept for a second window, as the previous one.
        (
            previous,
            previous_expires_in,
            current,
            current_expires_in,
        ) = await self._storage.get_sliding_window(self._item.key_for(key), window)
        left = current_expires_in - window
        return Quota.of_sliding_window(
            is_admitted=is_admitted,
            limit=self._item.amount,
            window=window,
            previous=previous,
            current=current,
            left=left if left > 0 else previous_expires_in or window,
        )
