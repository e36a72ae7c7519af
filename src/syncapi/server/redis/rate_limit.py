"""How many requests a member may make: counted in Redis for all processes, or here."""

import asyncio
import time
from collections.abc import Callable
from uuid import UUID

import limits
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from syncapi.server.redis.local_windows import LocalWindows
from syncapi.server.redis.quota import Quota
from syncapi.server.redis.shared_windows import SharedWindows

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
        self._item = _parsed(rate)
        self._local = LocalWindows(self._item.amount, self._item.get_expiry())
        self._shared = SharedWindows(self._item, redis, key_prefix) if redis else None
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

    async def _hit_shared(self, windows: SharedWindows, key: str) -> Quota | None:
        if self._is_down:  # one request tries; the others do not wait for what it finds
            self._ask_again_at = self._now() + self._retry_interval
        try:
            async with asyncio.timeout(self._patience):
                quota = await windows.hit(key)
        except (RedisError, OSError, TimeoutError) as error:
            self._note_down(error)
            return None
        self._note_up()
        return quota

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


def _parsed(rate: str) -> limits.RateLimitItem:
    try:
        return limits.parse(rate)
    except ValueError as error:
        raise ValueError(f"the rate {rate!r} is not written as '3000/minute'") from error
