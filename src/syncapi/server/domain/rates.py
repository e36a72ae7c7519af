"""Rate limits: what is allowed, and what is left of it.

A limit of so many requests in a window is a bucket that holds so many, and refills at an even pace
(the generic cell rate algorithm). All that is kept of a bucket is the time at which it will be
full again. Times are in whole microseconds.
"""

import math
import re
from dataclasses import dataclass
from typing import Final, Self

from syncapi.server.domain.errors import RateLimited

MICROSECONDS: Final = 1_000_000
_DAY: Final = 86_400
_UNITS: Final = {
    "second": 1,
    "minute": 60,
    "hour": 3600,
    "day": _DAY,
    "month": 30 * _DAY,
    "year": 360 * _DAY,
}
_RATE: Final = re.compile(
    rf"\s*(\d+)\s*(?:/|per)\s*(\d+)?\s*({'|'.join(_UNITS)})s?\s*", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Rate:
    """A limit.

    Attributes:
        limit: requests that may come at once, and in a window.
        window: seconds in which as many come back.
    """

    limit: int
    window: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``3000/minute`` or ``100 per 10 seconds``.

        Raises:
            ValueError: it is not written so, or allows nothing.
        """
        found = _RATE.fullmatch(text)
        limit, window = (0, 0)
        if found is not None:
            limit, window = int(found[1]), int(found[2] or 1) * _UNITS[found[3].lower()]
        if limit < 1 or window < 1 or limit > window * MICROSECONDS:
            raise ValueError(f"the rate {text!r} is not written as '3000/minute'")
        return cls(limit, window)

    @property
    def interval(self) -> int:
        """µs in which one request comes back."""
        return self.window * MICROSECONDS // self.limit


@dataclass(frozen=True, slots=True)
class Quota:
    """The state of a limit after a request was counted, or refused.

    Attributes:
        remaining: requests left now.
        reset: whole seconds after which more are left.
    """

    rate: Rate
    is_admitted: bool
    remaining: int
    reset: int

    @classmethod
    def of(cls, rate: Rate, lacking: int, *, is_admitted: bool) -> Self:
        """The quota of a bucket that will be full in ``lacking`` µs."""
        used = math.ceil(lacking / rate.interval)
        until_more = lacking - (used - 1) * rate.interval
        return cls(
            rate, is_admitted, max(0, rate.limit - used), math.ceil(until_more / MICROSECONDS)
        )

    @property
    def headers(self) -> dict[str, str]:
        """Two structured fields, as in draft-ietf-httpapi-ratelimit-headers-10."""
        return {
            "RateLimit-Policy": f'"member";q={self.rate.limit};w={self.rate.window}',
            "RateLimit": f'"member";r={self.remaining};t={self.reset}',
        }

    def enforce(self) -> None:
        """Refuse the request if it was over the limit.

        Raises:
            RateLimited: with the seconds to wait.
        """
        if not self.is_admitted:
            raise RateLimited(
                f"More than {self.rate.limit} requests in {self.rate.window} seconds. "
                f"Wait {self.reset} seconds.",
                retry_after=self.reset,
            )
