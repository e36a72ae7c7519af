"""How a verb fails: it prints what happened and what to do next, and ends with an exit code.

A user's mistake causes no traceback. `ExitCode` is the table of exit codes; `exit_code_of` alone
decides which failure has which.
"""

import enum
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import typer

from syncapi.cli.printable import printable
from syncapi.server.domain.errors import Forbidden, Refusal, Unauthenticated, Unavailable


class ExitCode(enum.IntEnum):
    """What every verb ends with."""

    OK = 0
    """Done; of a folder: in step."""
    FAILED = 1
    """Refused or failed."""
    USAGE = 2
    """Wrong usage, settings or configuration."""
    PARTLY = 3
    """Not all is in step: something failed, or is still to be done."""
    CONFLICTS = 4
    """In step, but conflicts wait for a person."""
    STOPPED = 5
    """Stopped before anything could be lost; nothing was done."""
    UNAUTHORISED = 6
    """No token, a token that is not valid, or a role that may not do this."""
    UNREACHABLE = 7
    """The server, or one that it needs, does not answer."""
    INTERRUPTED = 130
    """Ctrl-C (128 + SIGINT), as shells have it."""
    TERMINATED = 143
    """SIGTERM (128 + SIGTERM), as shells have it."""


class CommandFailed(Exception):  # noqa: N818 - said to a person, like a refusal
    """A verb cannot do its work, and says why.

    Attributes:
        message: what happened, to which file, and why.
        hint: what to type next; None if the message says it already.
    """

    def __init__(
        self, message: str, exit_code: ExitCode = ExitCode.FAILED, *, hint: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Explanation:
    """A failure in words.

    Attributes:
        request_id: of the server's answer; None if there was no answer.
    """

    message: str
    exit_code: ExitCode
    hint: str | None = None
    request_id: str | None = None

    def lines(self) -> list[str]:
        """The lines that a person reads."""
        said = [f"syncapi: {self.message}"]
        if self.hint:
            said.append(f"  next: {self.hint}")
        if self.request_id:
            said.append(f"  request id: {self.request_id}")
        return said


def explanation_of(error: BaseException) -> Explanation | None:
    """A failure in words; None for a fault of the program, which deserves its traceback."""
    match error:
        case CommandFailed():
            return Explanation(error.message, error.exit_code, error.hint)
        case Refusal():
            return Explanation(error.detail, _of_refusal(error))
        case OSError() if error.strerror:
            where = f"{error.filename}: " if error.filename else ""
            return Explanation(f"{where}{error.strerror}", ExitCode.FAILED)
        case Exception():
            return _of_client(error)
        case _:
            return None


@contextmanager
def explained() -> Iterator[None]:
    """Turn a failure inside into its message and exit code."""
    try:
        yield
    except Exception as error:
        explanation = explanation_of(error)
        if explanation is None:
            raise
        typer.echo(printable("\n".join(explanation.lines())), err=True)
        raise typer.Exit(int(explanation.exit_code)) from error


def _of_refusal(refusal: Refusal) -> ExitCode:
    match refusal:
        case Unavailable():
            return ExitCode.UNREACHABLE
        case Unauthenticated() | Forbidden():
            return ExitCode.UNAUTHORISED
        case _:
            return ExitCode.FAILED


def _of_client(error: Exception) -> Explanation | None:
    # Here, since `syncapi --help` must not pay for the models that the client's errors hold.
    from syncapi.client import errors  # noqa: PLC0415

    if not isinstance(error, errors.SyncError):
        return None
    request_id = error.request_id if isinstance(error, errors.ApiError) else None
    return Explanation(
        error.message, exit_code_of(error), error.hint or _way_out(error), request_id or None
    )


def exit_code_of(error: Exception) -> ExitCode:
    """The exit code of a failure of the client's tree."""
    from syncapi.client import errors  # noqa: PLC0415

    match error:
        case errors.SafetyStop():
            return ExitCode.STOPPED
        case errors.Unauthenticated() | errors.Forbidden():
            return ExitCode.UNAUTHORISED
        case errors.Unreachable():
            return ExitCode.UNREACHABLE
        case errors.ServerError() if error.problem.status in _NOT_THERE:
            return ExitCode.UNREACHABLE
        case _:
            return ExitCode.FAILED


_NOT_THERE = frozenset(
    {502, 503, 504}
)  # RFC 9110 §15.6: what is behind the server gives no answer


def _way_out(error: Exception) -> str | None:
    from syncapi.client import errors  # noqa: PLC0415

    for kind, hint in (
        (errors.Unauthenticated, "`syncapi login` with a token that is valid"),
        (errors.Forbidden, "ask an admin of the tenant for the role `user` or `admin`"),
        (errors.Unreachable, "`syncapi doctor` looks for the cause; then repeat the command"),
        (errors.ServerError, "repeat the command; if it stays so, quote the request id"),
        (errors.RateLimited, "wait a minute, then repeat the command"),
        (errors.TransferError, "repeat the command: what has arrived is kept"),
        (errors.StoreBusy, "wait until the other has ended, or end it"),
        (errors.StoreError, "`syncapi doctor` looks at the folder's state"),
    ):
        if isinstance(error, kind):
            return hint
    return None
