"""What is left of a rate limit, and the headers that say so."""

from dataclasses import dataclass

from syncapi.domain.errors import RateLimited


@dataclass(frozen=True, slots=True)
class Quota:
    """The state of a limit after a request was counted, or refused.

    Attributes:
        limit: requests in a window.
        window: its length in seconds.
        remaining: requests left now.
        reset: whole seconds until more are left.
    """

    is_admitted: bool
    limit: int
    window: int
    remaining: int
    reset: int

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
                f"Wait {max(self.reset, 1)} seconds.",
                retry_after=max(self.reset, 1),
            )
