"""``syncapi status``: what a sync would do, and what waits for a person."""

from typing import Annotated

import typer

from syncapi.cli.client.arguments import FolderPath, verb_app
from syncapi.cli.client.console import AsEvents, Quiet, Speaker, Verbose, speaking
from syncapi.cli.client.mirror_factory import choose_folder, find_plan, open_folder
from syncapi.cli.client.registry import Folder
from syncapi.cli.client.runner import run
from syncapi.cli.client.sync_output import counts_of, in_words, tell_conflicts, tell_plan
from syncapi.cli.exit_codes import ExitCode
from syncapi.cli.printable import name_shown
from syncapi.client.folder.plan.actions import Plan
from syncapi.client.folder.reports import FolderConflict

app = verb_app()


@app.command()
def status(
    folder: FolderPath = None,
    offline: Annotated[
        bool,
        typer.Option("--offline", help="Ask no server: what is new here since the last sync."),
    ] = False,
    as_json: AsEvents = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Say what a sync would do, and which conflicts wait. Changes nothing.

    Exit codes: 0 in step, 3 something is to be done, 4 conflicts wait.
    """
    speaker = Speaker(as_json, quiet, verbose)
    with speaking(speaker, offline=offline) as summary:
        place = choose_folder(folder, speaker)
        plan, conflicts = run(_look(place, speaker, offline=offline))
        speaker.say(f"{name_shown(place.path)} (account '{place.account}')")
        tell_plan(speaker, plan)
        tell_conflicts(speaker, conflicts)
        said = in_words(counts_of(plan), is_done=False)
        if conflicts:
            speaker.worsen(ExitCode.CONFLICTS)
        if said or plan.problems:
            speaker.worsen(ExitCode.PARTLY)
        speaker.say(f"A sync would {said}." if said else "Nothing to do.")
        summary.update(
            {
                "path": place.path,
                "counts": counts_of(plan),
                "problems": len(plan.problems),
                "conflicts": len(conflicts),
            }
        )


async def _look(
    folder: Folder, speaker: Speaker, *, offline: bool
) -> tuple[Plan, list[FolderConflict]]:
    async with open_folder(folder) as at_work:
        plan = await find_plan(at_work, speaker, offline=offline)
        return plan, at_work.mirror.conflicts()
