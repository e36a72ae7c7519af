"""Notices to every process that a membership has changed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Self
from uuid import UUID

import structlog
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from syncapi.protocol.backoff import backoff

_QUIET_SECONDS = 10.0  # after which a connection is asked whether it still lives
_ANSWER_SECONDS = 2.0
_LONGEST_PAUSE = 10.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Change:
    """These memberships are no longer as they were; None stands for all tenants, all users."""

    tenant_id: UUID | None = None
    user_id: UUID | None = None

    def concerns(self, tenant_id: UUID, user_id: UUID) -> bool:
        """Whether it is about this membership."""
        return self.tenant_id in (None, tenant_id) and self.user_id in (None, user_id)

    def encode(self) -> str:
        return f"{self.tenant_id or '*'} {self.user_id or '*'}"

    @classmethod
    def decode(cls, message: bytes) -> Self:
        """What was encoded; what cannot be read is taken to be about everything."""
        try:
            tenant, user = message.decode().split(" ")
            return cls(_uuid_or_any(tenant), _uuid_or_any(user))
        except ValueError:
            return cls()


EVERYTHING = Change()

Listener = Callable[[Change], None]


class Invalidations:
    """Carries changes to the listeners of this process, and through Redis to all others.

    Redis promises no delivery: what was said while this process was not connected is lost. So
    upon every (re)connection the listeners hear `EVERYTHING`, and they must let what they
    cache end by itself.
    """

    def __init__(self, redis: Redis | None, *, channel: str = "syncapi:memberships") -> None:
        """Use ``redis``, which stays the caller's to close; None for this process alone."""
        self._redis = redis
        self._channel = channel
        self._listeners: list[Listener] = []

    def subscribe(self, listener: Listener) -> None:
        """Have ``listener`` called with every change from now on."""
        self._listeners.append(listener)

    async def publish(self, change: Change) -> None:
        """Say that something changed; after the transaction that changed it.

        A Redis that is gone is no failure of the change: it is logged, and caches end anyway.
        """
        self._tell(change)
        if self._redis is not None:
            try:
                await self._redis.publish(self._channel, change.encode())
            except (RedisError, OSError, TimeoutError) as error:
                _log.warning("invalidation_not_published", error=str(error))

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Hear what other processes say, for as long as the block runs."""
        if self._redis is None:
            yield
            return
        task = asyncio.create_task(self._listen_for_ever(self._redis))
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _listen_for_ever(self, redis: Redis) -> None:
        failures = 0
        while True:
            try:
                async with redis.pubsub() as subscription:
                    await subscription.subscribe(self._channel)
                    failures = 0
                    await self._listen(subscription)
            except (RedisError, OSError, TimeoutError) as error:
                failures += 1
                if failures == 1:
                    _log.warning("invalidation_connection_lost", error=str(error))
            pause = backoff(failures, first=0.2, longest=_LONGEST_PAUSE, jitter=0.5)
            await asyncio.sleep(pause)

    async def _listen(self, subscription: PubSub) -> None:
        """Pass messages on until the connection fails."""
        while True:
            message = await subscription.get_message(timeout=_QUIET_SECONDS)
            if message is None:
                await subscription.ping()
                message = await subscription.get_message(timeout=_ANSWER_SECONDS)
            if message is None:
                raise TimeoutError("Redis does not answer")
            self._hear(message)

    def _hear(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "message":
                self._tell(Change.decode(message["data"]))
            case "subscribe":  # also after the client library reconnected by itself
                self._tell(EVERYTHING)

    def _tell(self, change: Change) -> None:
        for listener in self._listeners:
            listener(change)


def _uuid_or_any(text: str) -> UUID | None:
    return None if text == "*" else UUID(text)
