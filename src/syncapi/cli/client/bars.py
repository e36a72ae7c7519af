"""How far a sync is: a bar on a terminal, a line now and then in a log, an event for a program.

It all goes to stderr but the events; what was done to which file is said by ``sync_output``.
"""

import sys
import time
from collections.abc import Callable
from typing import Protocol, Self

import typer

from syncapi.cli.client.amounts import Amount
from syncapi.cli.client.console import Speaker, emit, format_size

LINE_SECONDS = 10.0
"""Between two lines of a log."""
EVENT_SECONDS = 1.0
"""Between two events of a program's."""


class Display(Protocol):
    """Shows an amount."""

    def show(self, amount: Amount) -> None: ...

    def close(self) -> None: ...


class Bars:
    """What a sync moves in all of its rounds, shown as it goes."""

    def __init__(self, display: Display) -> None:
        self._display = display
        self._amount = Amount()

    def begin(self, files: int, size: int) -> None:
        """So many files and bytes more are to be moved."""
        self._amount.files += files
        self._amount.size += size
        self._display.show(self._amount)

    def advance(self, size: int) -> None:
        """So many bytes were moved."""
        self._amount.size_done += size
        self._display.show(self._amount)

    def one_done(self) -> None:
        """A file was moved."""
        self._amount.files_done += 1
        self._display.show(self._amount)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._display.close()


def bars_for(speaker: Speaker) -> Bars:
    """The bars that a verb's output calls for."""
    if speaker.as_json:
        return Bars(_Now(EVENT_SECONDS, _event))
    if speaker.quiet:
        return Bars(_Nothing())
    if sys.stderr.isatty():
        from syncapi.cli.client.terminal_bar import TerminalBar  # noqa: PLC0415 - loads rich

        return Bars(TerminalBar())
    return Bars(_Now(LINE_SECONDS, _line))


class _Nothing:
    def show(self, amount: Amount) -> None: ...

    def close(self) -> None: ...


class _Now:
    """Now and then: not at once, so that what is done quickly says nothing."""

    def __init__(self, seconds: float, tell: Callable[[Amount, float], None]) -> None:
        self._seconds = seconds
        self._tell = tell
        self._begun = self._last = time.monotonic()

    def show(self, amount: Amount) -> None:
        now = time.monotonic()
        if now - self._last >= self._seconds:
            self._last = now
            self._tell(amount, now - self._begun)

    def close(self) -> None: ...


def _event(amount: Amount, seconds: float) -> None:
    emit(
        {
            "event": "progress",
            "files": amount.files,
            "bytes": amount.size,
            "files_done": amount.files_done,
            "bytes_done": amount.size_done,
            "seconds": round(seconds, 1),
        }
    )


def _line(amount: Amount, seconds: float) -> None:
    rate = amount.size_done / seconds
    left = f", {(amount.size - amount.size_done) / rate:.0f} s left" if rate else ""
    typer.echo(
        f"{amount.files_done:,} of {amount.files:,} files, {format_size(amount.size_done)} of "
        f"{format_size(amount.size)}, {format_size(rate)}/s{left}",
        err=True,
    )
