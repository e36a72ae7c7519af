"""What ``sync``, ``pull`` and ``push`` have in common: all but the direction."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from syncapi.cli.client.bars import bars_for
from syncapi.cli.client.opening import chosen, opened
from syncapi.cli.client.registry import Folder
from syncapi.cli.client.running import run
from syncapi.cli.client.speaking import Speaker, speaking
from syncapi.cli.client.telling import Narrator, counts_of, in_words, tell_plan, tell_report
from syncapi.cli.failures import ExitCode
from syncapi.client.errors import SafetyStop
from syncapi.client.folder.plan import Direction
from syncapi.client.folder.reports import MirrorReport

DryRun = Annotated[
    bool, typer.Option("--dry-run", "-n", help="Change nothing; say what would be done.")
]
AllowMassDelete = Annotated[
    bool,
    typer.Option("--allow-mass-delete", help="Delete even if it is over 25 % of the files."),
]


def keep_in_step(
    direction: Direction,
    path: Path | None,
    speaker: Speaker,
    *,
    dry_run: bool,
    allow_mass_delete: bool,
) -> None:
    """Run one sync, and end with its exit code."""
    with speaking(speaker, direction=direction, dry_run=dry_run) as summary:
        folder = chosen(path, speaker)
        report = _asking(folder, direction, speaker, dry_run=dry_run, allow=allow_mass_delete)
        if dry_run:
            summary.update(_tell_dry(speaker, report))
        else:
            summary.update(tell_report(speaker, report))


def _asking(
    folder: Folder, direction: Direction, speaker: Speaker, *, dry_run: bool, allow: bool
) -> MirrorReport:
    try:
        return run(_synced(folder, direction, speaker, dry_run=dry_run, allow=allow))
    except SafetyStop as stop:
        if allow or dry_run or speaker.as_json or not sys.stdin.isatty():
            raise
        typer.echo(stop.message, err=True)
        if not typer.confirm("Delete them all the same?", default=False, err=True):
            raise
    return run(_synced(folder, direction, speaker, dry_run=dry_run, allow=True))


async def _synced(
    folder: Folder, direction: Direction, speaker: Speaker, *, dry_run: bool, allow: bool
) -> MirrorReport:
    with bars_for(speaker) as bars:
        async with opened(folder, Narrator(speaker, bars)) as at_work:
            with at_work.alone():
                return await at_work.mirror.sync(
                    direction=direction, dry_run=dry_run, allow_mass_delete=allow
                )


def _tell_dry(speaker: Speaker, report: MirrorReport) -> dict[str, object]:
    plan = report.pending
    if plan is None:
        return {"counts": {}}
    tell_plan(speaker, plan)
    counts = counts_of(plan)
    said = in_words(counts, is_done=False)
    if said or plan.problems:
        speaker.worsen(ExitCode.PARTLY)
    speaker.say(f"Would {said}. Nothing was done." if said else "In step: nothing to do.")
    return {"counts": counts, "problems": len(plan.problems)}
