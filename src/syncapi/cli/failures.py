"""How a verb fails: one message on stderr and an exit code, never a traceback for a mistake.

Exit codes: 0 done, 1 refused or failed, 2 wrong usage or settings, 7 a server or database
cannot be reached.
"""

import enum
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from syncapi.domain.errors import Refusal, Unavailable


class ExitCode(enum.IntEnum):
    OK = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 7


class CommandFailed(Exception):  # noqa: N818 - said to a person, like a refusal
    """What a verb says when it cannot do its work; the message names the way out."""

    def __init__(self, message: str, exit_code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code


@contextmanager
def explained() -> Iterator[None]:
    """Turn a failure inside into its message and exit code."""
    try:
        yield
    except CommandFailed as failure:
        raise _end(failure.message, failure.exit_code) from failure
    except Unavailable as refusal:
        raise _end(refusal.detail, ExitCode.UNREACHABLE) from refusal
    except Refusal as refusal:
        raise _end(refusal.detail, ExitCode.FAILED) from refusal


def _end(message: str, exit_code: ExitCode) -> typer.Exit:
    typer.echo(f"syncapi: {message}", err=True)
    return typer.Exit(int(exit_code))
