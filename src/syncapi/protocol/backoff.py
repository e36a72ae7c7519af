"""How long to wait before something that failed is tried again: one formula for both ends."""

import math
import random
from typing import Final

_MOST_DOUBLINGS: Final = 30  # however long it fails, the wait stays a number


def backoff(
    failures: int, *, first: float, longest: float = math.inf, jitter: float = 0.0
) -> float:
    """Seconds to wait after so many failures in a row, from 1.

    Args:
        failures: so far.
        first: seconds after the first failure; they double from one to the next.
        longest: seconds; no wait is longer.
        jitter: the share of the wait that is left to chance, 0…1, so that those which failed
            together do not come back together.
    """
    doubled = first * 2.0 ** min(failures - 1, _MOST_DOUBLINGS)
    return min(longest, doubled) * (1 - jitter * random.random())  # noqa: S311 - no secret
