"""The common part of ``sync``, ``pull`` and ``push``, which differ only in direction."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from syncapi.cli.client.bars import bars_for
from syncapi.cli.client.console import Speaker, speaking
from syncapi.cli.client.mirror_factory import Opened, choose_folder, open_folder
from syncapi.cli.client.registry import Folder
from syncapi.cli.client.runner import run
from syncapi.cli.client.sync_output import Narrator, counts_of, in_words, tell_plan, tell_report
from syncapi.cli.exit_codes import ExitCode
from syncapi.client.errors import SafetyStop, StoreBusy
from syncapi.client.folder.guards import WentBackStop
from syncapi.client.folder.observe.observer import Keep
from syncapi.client.folder.plan.planner import Direction
from syncapi.client.folder.reports import MirrorReport

DryRun = Annotated[
    bool, typer.Option("--dry-run", "-n", help="Change nothing; say what would be done.")
]
AllowMassDelete = Annotated[
    bool,
    typer.Option("--allow-mass-delete", help="Delete even if it is over 25 % of the files."),
]
RestoreMissing = Annotated[
    bool,
    typer.Option("--restore-missing", help="Fetch files again that are gone from the folder."),
]


WentBack = Annotated[
    Keep | None,
    typer.Option(
        "--went-back", help="Of files that have gone back to older versions: which to keep."
    ),
]


@dataclass(frozen=True, slots=True)
class Wanted:
    """The options of a sync."""

    direction: Direction
    dry_run: bool
    allow_mass_delete: bool
    restore_missing: bool
    went_back: Keep | None


def keep_in_step(
    direction: Direction,
    path: Path | None,
    speaker: Speaker,
    *,
    dry_run: bool,
    allow_mass_delete: bool,
    restore_missing: bool = False,
    went_back: Keep | None = None,
) -> None:
    """Run one sync, and end with its exit code."""
    wanted = Wanted(direction, dry_run, allow_mass_delete, restore_missing, went_back)
    with speaking(speaker, direction=direction, dry_run=dry_run) as summary:
        folder = choose_folder(path, speaker)
        report = _sync_or_ask(folder, wanted, speaker)
        if dry_run:
            summary.update(_tell_dry(speaker, report))
        else:
            summary.update(tell_report(speaker, report))


def _sync_or_ask(folder: Folder, wanted: Wanted, speaker: Speaker) -> MirrorReport:
    try:
        return run(_sync(folder, wanted, speaker))
    except SafetyStop as stop:
        may_ask = sys.stdin.isatty() and not (wanted.dry_run or speaker.as_json)
        if wanted.allow_mass_delete or not may_ask or isinstance(stop, WentBackStop):
            raise
        typer.echo(stop.message, err=True)
        if not typer.confirm("Delete them all the same?", default=False, err=True):
            raise
    return run(_sync(folder, replace(wanted, allow_mass_delete=True), speaker))


async def _sync(folder: Folder, wanted: Wanted, speaker: Speaker) -> MirrorReport:
    with bars_for(speaker) as bars:
        async with open_folder(folder, Narrator(speaker, bars)) as at_work:
            with at_work.alone():
                return await at_work.mirror.sync(
                    direction=wanted.direction,
                    dry_run=wanted.dry_run,
                    allow_mass_delete=wanted.allow_mass_delete,
                    restore_missing=wanted.restore_missing,
                    went_back=wanted.went_back,
                )


async def follow_up(at_work: Opened, speaker: Speaker, direction: Direction) -> dict[str, object]:
    """Sync what a verb has changed, unless another process that syncs the folder will do so."""
    try:
        with at_work.alone():
            return tell_report(speaker, await at_work.mirror.sync(direction=direction))
    except StoreBusy as busy:
        speaker.say(f"{busy.message} It does the rest.", "busy", message=busy.message)
        return {}


def _tell_dry(speaker: Speaker, report: MirrorReport) -> dict[str, object]:
    plan = report.pending
    if plan is None:
        return {"counts": {}}
    tell_plan(speaker, plan)
    counts = counts_of(plan)
    said = in_words(counts, is_done=False)
    is_in_step = not (said or plan.problems or plan.pending)
    if not is_in_step:
        speaker.worsen(ExitCode.PARTLY)
    nothing = "In step: nothing to do." if is_in_step else "Nothing to do. Not all is in step."
    speaker.say(f"Would {said}. Nothing was done." if said else nothing)
    return {"counts": counts, "problems": len(plan.problems)}
