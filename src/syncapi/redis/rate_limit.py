"""How many requests a member may make: counted in Redis for all processes, or here."""

import asyncio
import math
import time
from collections.abc import Callable
from uuid import UUID

import limits
import structlog
from limits.aio.storage import RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from redis.asyncio import Redis
from redis.exceptions import RedisError

from syncapi.redis.local_windows import LocalWindows
from syncapi.redis.quota import Quota

_PATIENCE = 0.5  # seconds, for all that one request asks of Redis

_log = structlog.get_logger(__name__)


class RateLimiter:
    """One limit, for each user in each tenant.

    Without Redis every process counts for itself. When Redis is gone they do so too, and ask
    it again once in ``retry_interval``: a request then waits for it at most half a second.
    """

    def __init__(
        self,
        rate: str,
        redis: Redis | None,
        *,
        key_prefix: str = "syncapi",
        retry_interval: float = 2,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Allow ``rate``, written as ``3000/minute`` or ``100 per 10 seconds``.

        Raises:
            ValueError: the rate is not written so.
        """
        self._item = limits.parse(rate)
        self._local = LocalWindows(self._item.amount, self._item.get_expiry())
        self._shared = None if redis is None else _shared_windows(redis, key_prefix)
        self._retry_interval = retry_interval
        self._now = now
        self._is_down = False
        self._ask_again_at = float("-inf")

    async def hit(self, tenant_id: UUID, user_id: UUID | None) -> Quota:
        """Count a request wherever it is counted now, unless it is over the limit."""
        if self._shared is not None and self._now() >= self._ask_again_at:
            quota = await self._hit_shared(self._shared, f"{tenant_id}/{user_id}")
            if quota is not None:
                return quota
        return self.hit_here(tenant_id, user_id)

    def hit_here(self, tenant_id: UUID, user_id: UUID | None) -> Quota:
        """Count a request in this process alone: for what costs less than asking Redis does."""
        return self._local.hit((tenant_id, user_id))

    async def check(self, tenant_id: UUID, user_id: UUID | None) -> Quota:
        """Count a request.

        Raises:
            RateLimited: it is over the limit.
        """
        quota = await self.hit(tenant_id, user_id)
        quota.enforce()
        return quota

    async def _hit_shared(
        self, windows: SlidingWindowCounterRateLimiter, key: str
    ) -> Quota | None:
        if self._is_down:  # one request tries; the others do not wait for what it finds
            self._ask_again_at = self._now() + self._retry_interval
        try:
            async with asyncio.timeout(_PATIENCE):
                is_admitted = await windows.hit(self._item, key)
                stats = await windows.get_window_stats(self._item, key)
        except (RedisError, OSError, TimeoutError) as error:
            self._note_down(error)
            return None
        self._note_up()
        return Quota(
            is_admitted=is_admitted,
            limit=self._item.amount,
            window=self._item.get_expiry(),
            remaining=stats.remaining,
            reset=max(0, math.ceil(stats.reset_time - time.time())),
        )

    def _note_down(self, error: Exception) -> None:
        self._ask_again_at = self._now() + self._retry_interval
        if not self._is_down:
            self._is_down = True
            _log.warning("rate_limit_without_redis", error=f"{type(error).__name__}: {error}")

    def _note_up(self) -> None:
        self._ask_again_at = float("-inf")
        if self._is_down:
            self._is_down = False
            _log.info("rate_limit_with_redis_again")


def _shared_windows(redis: Redis, key_prefix: str) -> SlidingWindowCounterRateLimiter:
    storage = RedisStorage(
        "async+redis://",  # the pool knows where Redis is
        implementation="redispy",
        key_prefix=f"{key_prefix}:rate",
        connection_pool=redis.connection_pool,  # type: ignore[arg-type]  # as its docs say
    )
    return SlidingWindowCounterRateLimiter(storage)
