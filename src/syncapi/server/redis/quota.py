"""What is left of a rate limit, and the headers that say so."""

import math
from dataclasses import dataclass
from typing import Self

from syncapi.server.domain.errors import RateLimited


@dataclass(frozen=True, slots=True)
class Quota:
    """The state of a limit after a request was counted, or refused.

    Attributes:
        limit: requests in a window.
        window: its length in seconds.
        remaining: requests left now.
        reset: whole seconds after which more are left.
    """

    is_admitted: bool
    limit: int
    window: int
    remaining: int
    reset: int

    @classmethod
    def of_sliding_window(
        cls,
        *,
        is_admitted: bool,
        limit: int,
        window: int,
        previous: int,
        current: int,
        left: float,
    ) -> Self:
        """The quota where the hits of the window before count by the share that is still theirs.

        Args:
            is_admitted: whether this request was counted.
            limit: requests in a window.
            window: its length in seconds.
            previous: hits in the window before.
            current: hits in the window that ends in ``left`` seconds.
            left: what is left of the current window.
        """
        until_more = left % (window / previous) if previous else left
        return cls(
            is_admitted=is_admitted,
            limit=limit,
            window=window,
            remaining=max(0, limit - math.floor(previous * left / window) - current),
            reset=math.floor(until_more) + 1,
        )

    @property
    def headers(self) -> dict[str, str]:
        """Two structured fields, as in draft-ietf-httpapi-ratelimit-headers-10."""
        return {
            "RateLimit-Policy": f'"member";q={self.limit};w={self.window}',
            "RateLimit": f'"member";r={self.remaining};t={self.reset}',
        }

    def enforce(self) -> None:
        """Refuse the request if it was over the limit.

        Raises:
            RateLimited: with the seconds to wait.
        """
        if not self.is_admitted:
            raise RateLimited(
                f"More than {self.limit} requests in {self.window} seconds. "
                f"Wait {self.reset} seconds.",
                retry_after=self.reset,
            )
