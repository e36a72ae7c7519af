"""What the client's verbs print: lines for a person, or one event a line (NDJSON) for a program.

Results go to stdout, failures and progress to stderr. With ``--json`` stdout has only JSON
objects, one a line, each with an ``event``; the last one is the ``summary`` with the exit code,
however the verb ends.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import typer

from syncapi.cli.exit_codes import ExitCode, explanation_of
from syncapi.cli.printable import printable

AsEvents = Annotated[
    bool, typer.Option("--json", help="Print a JSON object a line; the last is a summary.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only what needs attention.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Print every file.")]

LISTED = 20
"""How many lines of one kind are printed without ``--verbose``."""

_WORST_FIRST = (
    *(ExitCode.STOPPED, ExitCode.UNAUTHORISED, ExitCode.UNREACHABLE, ExitCode.FAILED),
    *(ExitCode.USAGE, ExitCode.PARTLY, ExitCode.CONFLICTS, ExitCode.OK),
)


@dataclass(frozen=True, slots=True)
class Line:
    """A line for a person, and the event that says the same to a program.

    Attributes:
        is_detail: printed only with ``--verbose``.
    """

    text: str
    event: str
    fields: Mapping[str, object]
    is_detail: bool = False


@dataclass(slots=True)
class Speaker:
    """Prints what a verb reports, and remembers its exit code."""

    as_json: bool = False
    quiet: bool = False
    verbose: bool = False
    exit_code: ExitCode = ExitCode.OK

    def say(self, text: str, event: str | None = None, **fields: object) -> None:
        """Print a line, unless ``--quiet``; with ``--json`` the event, if there is one."""
        self._tell(text, event, fields, unless=self.quiet)

    def detail(self, text: str, event: str | None = None, **fields: object) -> None:
        """Print a line only with ``--verbose``; with ``--json`` always the event."""
        self._tell(text, event, fields, unless=not self.verbose or self.quiet)

    def insist(self, text: str, event: str | None = None, **fields: object) -> None:
        """Print what needs attention, also with ``--quiet``."""
        self._tell(text, event, fields, unless=False)

    def name_some(self, lines: Iterable[Line], noun: str, *, is_urgent: bool = True) -> None:
        """Print the first twenty lines, and how to see the rest; ``--json`` prints all.

        Args:
            lines: all of them, in order; details are not counted.
            noun: what one line names, in the singular.
            is_urgent: whether to print them also with ``--quiet``.
        """
        say = self.insist if is_urgent else self.say
        named = left_out = 0
        for line in lines:
            is_named = not line.is_detail and (self.verbose or named < LISTED)
            named += is_named
            left_out += not (is_named or line.is_detail)
            (say if is_named else self.detail)(line.text, line.event, **line.fields)
        if left_out:
            say(f"  … and {format_count(left_out, f'more {noun}')} (-v names every {noun})")

    def worsen(self, exit_code: ExitCode) -> None:
        """End with this exit code, unless a worse one is known."""
        self.exit_code = min(self.exit_code, exit_code, key=_WORST_FIRST.index)

    def _tell(
        self, text: str, event: str | None, fields: Mapping[str, object], *, unless: bool
    ) -> None:
        if self.as_json:
            if event is not None:
                emit({"event": event, **fields})
        elif not unless:
            typer.echo(printable(text))


@contextmanager
def speaking(speaker: Speaker, **summary: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401
    """Run a verb; end with its exit code, and with ``--json`` print the summary.

    The block gets a dictionary; what it puts into that becomes part of the summary.

    Raises:
        typer.Exit: the block raised nothing, but the speaker has an exit code other than 0.
    """
    try:
        yield summary
    except typer.Exit as wanted:
        speaker.exit_code = ExitCode(wanted.exit_code)
    except Exception as error:
        _end_badly(speaker, error, summary)
        raise
    if speaker.as_json:
        _summarise(speaker.exit_code, summary)
    if speaker.exit_code is not ExitCode.OK:
        raise typer.Exit(int(speaker.exit_code))


def _end_badly(speaker: Speaker, error: Exception, summary: Mapping[str, Any]) -> None:
    explanation = explanation_of(error)
    if not speaker.as_json or explanation is None:
        return
    emit(
        {
            "event": "error",
            "message": explanation.message,
            "hint": explanation.hint,
            "request_id": explanation.request_id,
        }
    )
    _summarise(explanation.exit_code, summary)


def _summarise(exit_code: ExitCode, summary: Mapping[str, Any]) -> None:
    emit({"event": "summary", "exit_code": int(exit_code), **summary})


def emit(record: Mapping[str, Any]) -> None:
    """Print one event, in ASCII, which works in every locale and with every file name."""
    typer.echo(json.dumps(record, default=_plain))
    sys.stdout.flush()


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def format_size(count: float) -> str:
    """A number of bytes for people, in powers of 1024."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:  # noqa: PLR2004 - IEC 80000-13
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def format_count(count: int, noun: str) -> str:
    """``1 file``, ``2 files``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines of text with aligned columns."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))] if rows else []
    return ["  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in rows]
