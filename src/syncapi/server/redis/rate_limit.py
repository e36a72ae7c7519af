"""How many requests a member may make: counted in Redis for all processes, or here."""

import asyncio
import time
from collections.abc import Callable
from uuid import UUID

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from syncapi.server.domain.rates import Quota, Rate
from syncapi.server.redis.buckets import LocalBuckets, SharedBuckets

_log = structlog.get_logger(__name__)


class RateLimiter:
    """One limit, for each user in each tenant.

    Without Redis every process counts for itself. When Redis is gone they do so too, and ask
    it again once in ``retry_interval``: one request then waits for it, up to ``patience``.
    """

    def __init__(
        self,
        rate: str,
        redis: Redis | None,
        *,
        key_prefix: str = "syncapi",
        patience: float = 0.5,
        retry_interval: float = 2,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Allow ``rate``, written as ``3000/minute`` or ``100 per 10 seconds``.

        Raises:
            ValueError: the rate is not written so.
        """
        allowed = Rate.parse(rate)
        self._local = LocalBuckets(allowed)
        self._shared = SharedBuckets(allowed, redis, key_prefix) if redis else None
        self._patience = patience
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
        return self._local.hit((tenant_id, user_id))

    async def _hit_shared(self, buckets: SharedBuckets, key: str) -> Quota | None:
        if self._is_down:  # one request tries; the others do not wait for what it finds
            self._ask_again_at = self._now() + self._retry_interval
        try:
            async with asyncio.timeout(self._patience):
                quota = await buckets.hit(key)
        except (RedisError, OSError, TimeoutError) as error:
            self._ask_again_at = self._now() + self._retry_interval
            if not self._is_down:
                self._is_down = True
                _log.warning("rate_limit_without_redis", error=f"{type(error).__name__}: {error}")
            return None
        self._ask_again_at = float("-inf")
        if self._is_down:
            self._is_down = False
            _log.info("rate_limit_with_redis_again")
        return quota
