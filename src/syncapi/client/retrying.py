"""How failed requests are repeated: exponential backoff with jitter, and `Retry-After`."""

import random
from dataclasses import dataclass
from typing import Final

import anyio
import httpx

from syncapi.client.errors import Unreachable

RETRIED_STATUSES: Final = frozenset({429, 502, 503, 504})
"""RFC 6585 §4 and RFC 9110 §15.6: the same request may succeed later."""

_MOST_DOUBLINGS = 30  # whatever `attempts` is, the wait stays a number


@dataclass(frozen=True)
class RetryPolicy:
    """How often a request is tried, and how long to wait in between.

    Attributes:
        attempts: at most so many, the first one included.
        first_wait: seconds before the second attempt; it doubles from one to the next.
        longest_wait: seconds; no backoff is longer, and no `Retry-After` is followed further.
        jitter: the share of a backoff that is left to chance, 0…1, so that clients which failed
            together do not come back together.
    """

    attempts: int = 6
    first_wait: float = 0.2
    longest_wait: float = 20.0
    jitter: float = 0.5

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError("attempts counts the first one too: it is 1 or more")
        if not 0 <= self.jitter <= 1:
            raise ValueError("jitter is a share: it lies in 0…1")

    def wait(self, failures: int, retry_after: float | None = None) -> float:
        """Seconds to wait after so many failures in a row, from 1.

        Args:
            failures: so far, of this request.
            retry_after: seconds that the server asked for; it is not asked again before.
        """
        doubled = self.first_wait * 2.0 ** min(failures - 1, _MOST_DOUBLINGS)
        backoff = min(self.longest_wait, doubled)
        if retry_after is not None:
            return min(retry_after, self.longest_wait) + self._by_chance(backoff)
        return backoff * (1 - self.jitter) + self._by_chance(backoff)

    async def pause(self, failures: int, retry_after: float | None = None) -> None:
        """Wait before the next attempt."""
        await anyio.sleep(self.wait(failures, retry_after))

    def _by_chance(self, backoff: float) -> float:
        return random.uniform(0, backoff * self.jitter)  # noqa: S311 - it keeps no secret


def unreachable(error: httpx.RequestError) -> Unreachable:
    """Say that there was no answer, and of whom."""
    reason = str(error) or type(error).__name__
    address = error.request.url
    port = f":{address.port}" if address.port else ""
    failure = Unreachable(
        f"No answer from {address.scheme}://{address.host}{port}: {reason}",
        hint="check the network and the address of the server; then repeat",
    )
    failure.__cause__ = error
    return failure
