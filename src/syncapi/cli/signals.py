"""Signals that ask a command to end."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _AskedToEndError(BaseException):
    """Not an `Exception`, so that no handler of failures catches it."""


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Leave the block in order at Ctrl-C, SIGTERM or a closed terminal.

    After the first signal further ones are ignored, so that they do not interrupt the clean-up.
    """
    before = {number: signal.getsignal(number) for number in _ASKING}
    for number in _ASKING:
        if number != signal.SIGHUP or before[number] != signal.SIG_IGN:  # `nohup` ignores it
            signal.signal(number, _ask)
    try:
        yield
    except _AskedToEndError:
        pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ask(_number: int, _frame: FrameType | None) -> None:
    for number in _ASKING:
        signal.signal(number, signal.SIG_IGN)
    raise _AskedToEndError
