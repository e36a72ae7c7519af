"""How many archives are made at once."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from uuid import UUID

from syncapi.server.domain.errors import RateLimited, Unavailable

_RETRY_AFTER: Final = 15.0
"""How many seconds a client is asked to wait for a slot."""


class Slots:
    """Bounds how many archives this process makes at once: a slow reader may take hours.

    Args:
        most: the number of slots. A tenant gets a quarter of them, so that it cannot shut out
            others.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._share = max(1, most // 4)
        self._taken: Counter[UUID] = Counter()

    @contextmanager
    def taken(self, tenant_id: UUID) -> Iterator[None]:
        """Hold a slot.

        Raises:
            RateLimited: the tenant holds its share of slots.
            Unavailable: all slots are held.
        """
        self._check(tenant_id)
        self._taken[tenant_id] += 1
        try:
            yield
        finally:
            self._taken[tenant_id] -= 1
            self._taken += Counter()  # drops the tenants that have none

    def _check(self, tenant_id: UUID) -> None:
        if self._taken[tenant_id] >= self._share:
            raise RateLimited(
                f"Members of this tenant are downloading {self._share} archives already. Wait "
                "until one of them has ended.",
                retry_after=_RETRY_AFTER,
            )
        if self._taken.total() >= self._most:
            raise Unavailable(
                f"All {self._most} archives that are made here at once are being downloaded. "
                "Try again.",
                retry_after=_RETRY_AFTER,
            )
