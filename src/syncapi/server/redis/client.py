"""The connection to Redis (6.2 or later) or Valkey.

It is quick to give up, since all that uses it can do without it for a while.
"""

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

_MAX_CONNECTIONS = 50


def connect(url: str, *, timeout: float = 0.25) -> Redis:
    """A client for ``redis://…``, ``rediss://…`` or ``unix://…``; it connects when first used.

    It waits ``timeout`` seconds to connect, and for each answer. Close it with ``aclose()``.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=_MAX_CONNECTIONS,
        timeout=timeout,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
    )
    return Redis.from_pool(pool)
