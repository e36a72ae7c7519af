"""Prints what a sync does or would do, in the same words for a person and a program."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from syncapi.cli.client.bars import Bars
from syncapi.cli.client.console import LISTED, Line, Speaker, format_count, format_size
from syncapi.cli.exit_codes import ExitCode
from syncapi.cli.printable import name_shown
from syncapi.client.folder.plan.actions import (
    Action,
    ActionName,
    Adopt,
    Forget,
    Move,
    Pending,
    Plan,
    Problem,
    SetAside,
    Settled,
    Update,
)
from syncapi.client.folder.reports import (
    Done,
    Failure,
    FolderConflict,
    MirrorReport,
)

NAME_ONLY = "its new name"

_WORDS: dict[ActionName, tuple[str, str]] = {
    "set_aside": ("keep beside", "kept beside"),
    "trash": ("delete here", "deleted here"),
    "move": ("rename here", "renamed here"),
    "download": ("fetch", "fetched"),
    "create": ("send new", "sent new"),
    "update": ("send", "sent"),
    "delete": ("delete there", "deleted there"),
    "adopt": ("take as it is", "taken as it is"),
    "forget": ("forget", "forgotten"),
}
_WAYS_OUT = {"forbidden": "ask an admin of the tenant for a role that may do this"}
_UNSEEN = frozenset({Adopt.name, Forget.name})  # they change neither side


@dataclass(frozen=True, slots=True)
class Step:
    """An action of a plan, as it is printed.

    Attributes:
        path: in the folder, afterwards.
        source: where the file is until then, if it is renamed.
        detail: for a person.
    """

    action: ActionName
    path: str
    source: str | None = None
    detail: str | None = None


def steps_of(plan: Plan) -> list[Step]:
    """The actions of a plan in their order."""
    return [_step(action) for action in plan.actions]


def _step(action: Action) -> Step:
    match action:
        case SetAside() | Move():
            return Step(action.name, action.path_after, action.path, f"now {action.path}")
        case Update(sha256=None):
            return Step(action.name, action.path, detail=NAME_ONLY)
        case _:
            return Step(action.name, action.path)


class Narrator:
    """Prints the progress of a sync."""

    def __init__(self, speaker: Speaker, bars: Bars) -> None:
        self._speaker = speaker
        self._bars = bars
        self._told = 0
        self._failed = 0

    def begin(self, files: int, size: int) -> None:
        self._told = self._failed = 0  # a watch syncs again and again
        self._bars.begin(files, size)

    def advance(self, size: int) -> None:
        self._bars.advance(size)

    def file_done(self, done: Done) -> None:
        self._bars.one_done()
        text = _line(_WORDS[done.action][1], done.path, done.detail)
        fields = {"action": done.action, "path": done.path, "detail": done.detail}
        if done.action in _UNSEEN or self._told >= LISTED:
            self._speaker.detail(text, "done", **fields)
            return
        self._told += 1
        self._speaker.say(text, "done", **fields)
        if self._told == LISTED and not self._speaker.verbose:
            self._speaker.say("  … (-v names every file)")

    def failed(self, failure: Failure) -> None:
        self._failed += 1
        line = _failure_line(failure)
        is_named = self._failed <= LISTED
        tell = self._speaker.insist if is_named else self._speaker.detail
        tell(line.text, line.event, **line.fields)
        if self._failed == LISTED and not self._speaker.verbose:
            self._speaker.insist("  … (-v names every failure)")


def _line(word: str, path: str, detail: str | None = None) -> str:
    return f"  {word:<14}  {name_shown(path)}" + (f"  ({name_shown(detail)})" if detail else "")


def _failure_line(failure: Failure) -> Line:
    """Name a file that failed, the reason, and what to do."""
    request = f"\n    request id: {failure.request_id}" if failure.request_id else ""
    way_out = failure.hint or _WAYS_OUT.get(failure.code or "")
    hint = f"\n    next: {way_out}" if way_out else ""
    what = f"{failure.what} failed: {failure.why}"
    fields = {
        "path": failure.path,
        "what": failure.what,
        "why": failure.why,
        "hint": way_out,
        "request_id": failure.request_id,
        "code": failure.code,
    }
    return Line(f"  {name_shown(failure.path)}: {what}{hint}{request}", "failure", fields)


def tell_plan(speaker: Speaker, plan: Plan) -> None:
    """Print what a sync would do, and the problems."""
    lines = [
        Line(
            _line(_WORDS[step.action][0], step.path, step.detail),
            "planned",
            {"action": step.action, "path": step.path, "source": step.source},
            is_detail=step.action in _UNSEEN,
        )
        for step in steps_of(plan)
    ]
    speaker.name_some(lines, "file", is_urgent=False)
    tell_pending(speaker, plan.pending)
    tell_settled(speaker, plan.settled)
    tell_problems(speaker, plan.problems)


def tell_pending(speaker: Speaker, pending: Sequence[Pending]) -> None:
    """Print the changes that only the other direction would carry out."""
    for one in pending:
        text = f"  left: {one.kind}  {name_shown(one.path)}"
        speaker.detail(text, "pending", action=one.kind, path=one.path)
    if pending and not speaker.verbose:
        text = f"  {format_count(len(pending), 'change')} left to the other direction"
        speaker.say(f"{text} (-v names them)")


def tell_settled(speaker: Speaker, settled: Sequence[Settled]) -> None:
    """Print how changes on both sides were settled."""
    lines = [
        Line(
            f"  {name_shown(one.path)}: {name_shown(one.detail)}",
            "settled",
            {"path": one.path, "kind": one.kind, "detail": one.detail},
        )
        for one in settled
    ]
    speaker.name_some(lines, "decision", is_urgent=False)


def tell_problems(speaker: Speaker, problems: Sequence[Problem]) -> None:
    """Print the files that are left alone until a person corrects them."""
    lines = [
        Line(
            f"  {name_shown(problem.path)}: left alone: {name_shown(problem.detail)}",
            "problem",
            {"path": problem.path, "code": problem.code, "detail": problem.detail},
        )
        for problem in problems
    ]
    speaker.name_some(lines, "problem")


def tell_conflicts(speaker: Speaker, conflicts: Sequence[FolderConflict]) -> None:
    """Print the files that have two versions, and what to do about them."""
    lines = [
        Line(
            f"  {name_shown(conflict.path)}: changed on both sides; yours is "
            f"{name_shown(conflict.copy_path)}",
            "conflict",
            {
                "path": conflict.path,
                "copy_path": conflict.copy_path,
                "seen_at": conflict.seen_at,
            },
        )
        for conflict in conflicts
    ]
    speaker.name_some(lines, "conflict")
    if conflicts:
        speaker.insist("  next: syncapi conflicts show PATH, then syncapi conflicts resolve PATH")


def counts_of(plan: Plan) -> dict[str, int]:
    """How many actions of each kind a plan has."""
    return dict(Counter(step.action for step in steps_of(plan)))


def in_words(counts: dict[str, int], *, is_done: bool) -> str:
    """Counts in words, such as ``fetched 2, sent new 1``, without actions that change no side."""
    said = (
        f"{words[is_done]} {counts[name]:,}"
        for name, words in _WORDS.items()
        if counts.get(name) and name not in _UNSEEN
    )
    return ", ".join(said)


def tell_report(speaker: Speaker, report: MirrorReport) -> dict[str, object]:
    """Print the result of a sync and set the exit code; return the fields of the summary."""
    tell_problems(speaker, report.problems)
    tell_conflicts(speaker, report.conflicts)
    _judge(speaker, report)
    if report.pending is not None:
        tell_pending(speaker, report.pending.pending)
    said = in_words(report.counts, is_done=True) or "nothing to do"
    moved = [(report.bytes_up, "up"), (report.bytes_down, "down")]
    sizes = "".join(f", {format_size(size)} {way}" for size, way in moved if size)
    failed = f"; {len(report.failures)} failed" if report.failures else ""
    left = f"; {report.left} left, as files changed meanwhile: sync again" if report.left else ""
    speaker.say(f"{said[0].upper()}{said[1:]}{sizes}{failed}{left}.{_verdict(speaker)}")
    return {
        "counts": report.counts,
        "failures": len(report.failures),
        "left": report.left,
        "problems": len(report.problems),
        "conflicts": len(report.conflicts),
        "bytes_up": report.bytes_up,
        "bytes_down": report.bytes_down,
    }


def _judge(speaker: Speaker, report: MirrorReport) -> None:
    are_forbidden = all(failure.code == "forbidden" for failure in report.failures)
    if report.failures and not report.done and are_forbidden:
        speaker.worsen(ExitCode.UNAUTHORISED)
    is_pending = report.pending is not None and bool(report.pending.pending)
    if report.failures or report.problems or report.left or is_pending:
        speaker.worsen(ExitCode.PARTLY)
    if report.conflicts:
        speaker.worsen(ExitCode.CONFLICTS)


def _verdict(speaker: Speaker) -> str:
    match speaker.exit_code:
        case ExitCode.OK:
            return " In step."
        case ExitCode.CONFLICTS:
            return " In step, but conflicts wait for you."
        case _:
            return " Not all is in step."
