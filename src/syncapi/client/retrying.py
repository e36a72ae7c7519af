"""How failed requests are repeated: exponential backoff with jitter, and `Retry-After`."""

from dataclasses import dataclass
from typing import Final

import anyio
import httpx

from syncapi.client.errors import Unreachable
from syncapi.protocol.backoff import backoff

RETRIED_STATUSES: Final = frozenset({429, 502, 503, 504})
"""RFC 6585 §4 and RFC 9110 §15.6: the same request may succeed later."""


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
        first, longest = self.first_wait, self.longest_wait
        if retry_after is None:
            return backoff(failures, first=first, longest=longest, jitter=self.jitter)
        by_chance = self.jitter * backoff(failures, first=first, longest=longest, jitter=1)
        return min(retry_after, longest) + by_chance

    async def pause(self, failures: int, retry_after: float | None = None) -> None:
        """Wait before the next attempt."""
        await anyio.sleep(self.wait(failures, retry_after))


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
