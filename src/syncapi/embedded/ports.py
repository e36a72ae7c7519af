"""Free ports of the loopback interface."""

import random
import socket

LOOPBACK = "127.0.0.1"

# Below the range from which Linux takes ports for outgoing connections (32768 and up), so that
# none is lost between being found free and being bound.
_FIRST, _LAST = 20_000, 32_000
_TRIES = 1_000
_HIGHEST = 65_535


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def free_port(*, offset: int = 0) -> int:
    """A port that is free, and so is the one `offset` above it."""
    for _ in range(_TRIES):
        port = random.randint(_FIRST, _LAST)  # noqa: S311 - no secret
        if port + offset <= _HIGHEST and is_free(port) and is_free(port + offset):
            return port
    raise OSError(f"no free port between {_FIRST} and {_LAST}")
