"""Who may do what: a token and a membership make a `TenantScope`."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol
from uuid import UUID

from syncapi.server.domain.access import Membership, Permission, TenantScope, grant
from syncapi.server.domain.errors import Refusal, Unavailable
from syncapi.server.domain.expiring_cache import ExpiringCache
from syncapi.server.identity.tokens import TokenVerifier
from syncapi.server.postgres.control import ControlStore
from syncapi.server.redis.invalidation import Change, Invalidations
from syncapi.server.usecases.single_flight import SingleFlight

CONFIRM_SECONDS = 1.0
"""How long a transaction waits for a member's rights, which is as long as it waits for a lock."""

_CACHED_MEMBERSHIPS = 50_000

_Key = tuple[UUID, UUID]


@dataclass(frozen=True, slots=True)
class _Known:
    """What the control database has of a membership; None if there is no membership."""

    membership: Membership | None


class Rights(Protocol):
    """Reads which rights a member has now who was admitted a while ago."""

    async def confirmed(self, scope: TenantScope, *, remembered: bool = False) -> TenantScope:
        """The scope as it is now: another role perhaps, or another database.

        Args:
            scope: as it was when the request came.
            remembered: whether remembered rights are good enough.

        Raises:
            NotFound: the user is no member any more, or the tenant is suspended.
            Forbidden: the member's role lacks the scope's permission by now.
            Unavailable: the control database does not answer.
        """
        ...


async def confirmed_in_place(
    rights: Rights, scope: TenantScope, *, remembered: bool = False
) -> TenantScope:
    """The scope as it is now, for work that has begun in the database of ``scope``.

    Raises:
        NotFound, Forbidden, Unavailable: as `Rights.confirmed` says.
        Unavailable: the tenant has moved, and a repeat of the request goes to the right database;
            or there is no answer in time, while others wait for what the work holds.
    """
    try:
        async with asyncio.timeout(CONFIRM_SECONDS):
            confirmed = await rights.confirmed(scope, remembered=remembered)
    except TimeoutError as error:
        raise Unavailable(
            "Whether you may still do this could not be read in time. Nothing was changed: send "
            "the request again.",
            retry_after=1,
        ) from error
    if (confirmed.database, confirmed.feed_id) != (scope.database, scope.feed_id):
        raise Unavailable(
            "The tenant has moved meanwhile. Nothing was changed: send the request again.",
            retry_after=1,
        )
    return confirmed


class AccessGate:
    """Admits members, and remembers their memberships for a while.

    A change of a membership that is published takes effect at once, also on reads that are under
    way; a change that was not published is noticed after ``cache_seconds``.
    """

    def __init__(
        self,
        verifier: TokenVerifier,
        control: ControlStore,
        invalidations: Invalidations,
        *,
        cache_seconds: float,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Remember a membership for ``cache_seconds``; 0 reads it for every request."""
        self._verifier = verifier
        self._control = control
        self._cache_seconds = cache_seconds
        self._now = now
        self._known: ExpiringCache[_Key, _Known] = ExpiringCache(_CACHED_MEMBERSHIPS)
        self._reads = SingleFlight[_Key, tuple[Membership | None, float]]()
        self._confirmations = SingleFlight[object, Membership | None]()
        invalidations.subscribe(self._forget)

    async def close(self) -> None:
        """Stop the reads that still run."""
        await self._reads.close()
        await self._confirmations.close()

    async def scope(self, token: str, tenant_id: UUID, permission: Permission) -> TenantScope:
        """The scope of a request with this bearer token.

        Raises:
            Unauthenticated: the token does not verify.
            NotFound: the user is no member, or the tenant does not exist or is suspended.
            Forbidden: the member's role lacks the permission.
            Unavailable: the issuer's keys or the control database do not answer.
        """
        identity = await self._verifier.verify(token)
        return grant(await self._membership((tenant_id, identity.user_id)), permission)

    async def confirmed(self, scope: TenantScope, *, remembered: bool = False) -> TenantScope:
        """As `Rights` says. Unless ``remembered``, it asks the control database."""
        if scope.user_id is None:  # an operator
            return scope
        if remembered:
            membership = await self._membership((scope.tenant_id, scope.user_id))
        else:
            # Each caller has its own read, since another's may be older. It goes on when the
            # caller gives up waiting: a connection that opens late then serves the next request.
            read = partial(self._control.membership, scope.user_id, scope.tenant_id)
            membership = await self._confirmations.run(object(), read)
        return grant(membership, scope.permission)

    def cached_scope(
        self, token: str, tenant_id: UUID, permission: Permission
    ) -> TenantScope | None:
        """The scope, if it is known without I/O; None if it is not known."""
        identity = self._verifier.cached(token)
        known = identity and self._known.get((tenant_id, identity.user_id), self._now())
        if not known:
            return None
        try:
            return grant(known.membership, permission)
        except Refusal:
            return None

    async def _membership(self, key: _Key) -> Membership | None:
        came_at = self._now()

        async def read() -> tuple[Membership | None, float]:
            tenant_id, user_id = key
            asked_at = self._now()
            membership = await self._control.membership(user_id, tenant_id)
            if self._reads.is_joinable(key):
                self._known.put(key, _Known(membership), asked_at + self._cache_seconds)
            return membership, asked_at

        while True:
            known = self._known.get(key, self._now())
            if known is not None:
                return known.membership
            membership, asked_at = await self._reads.run(key, read)
            # A read that was joined may have begun before a removal that this request must see.
            if came_at <= asked_at + self._cache_seconds:
                return membership

    def _forget(self, change: Change) -> None:
        self._known.drop_where(lambda key: change.concerns(*key))
        self._reads.part_with(lambda key: change.concerns(*key))
