"""``syncapi watch``: keep a folder in step until stopped."""

import asyncio
from typing import Annotated

import typer

from syncapi.cli.client.arguments import FolderPath, verb_app
from syncapi.cli.client.bars import bars_for
from syncapi.cli.client.console import AsEvents, Quiet, Speaker, Verbose, speaking
from syncapi.cli.client.mirror_factory import choose_folder, open_folder
from syncapi.cli.client.registry import Folder
from syncapi.cli.client.runner import run, stop_at_signals
from syncapi.cli.client.sync_output import Narrator, tell_report
from syncapi.cli.exit_codes import ExitCode
from syncapi.cli.printable import name_shown
from syncapi.client.errors import SyncError
from syncapi.client.folder.reports import MirrorReport
from syncapi.client.folder.watcher import Rhythm
from syncapi.client.folder.watcher import watch as watch_mirror

app = verb_app()


@app.command()
def watch(
    folder: FolderPath = None,
    poll: Annotated[
        float,
        typer.Option(min=0.2, metavar="SECONDS", help="Between two questions to the server."),
    ] = 5.0,
    debounce: Annotated[
        float,
        typer.Option(
            min=0.05, metavar="SECONDS", help="How long the folder must be quiet before."
        ),
    ] = 0.5,
    as_json: AsEvents = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Keep a folder in step until Ctrl-C or SIGTERM; what is under way then is finished.

    A server that cannot be reached is waited for.
    """
    speaker = Speaker(as_json, quiet, verbose)
    with speaking(speaker):
        place = choose_folder(folder, speaker)
        run(_watch(place, speaker, Rhythm(poll=poll, debounce=debounce)))
        speaker.say("Stopped.")


async def _watch(folder: Folder, speaker: Speaker, rhythm: Rhythm) -> None:
    stop = asyncio.Event()
    stop_at_signals(stop)

    def on_report(report: MirrorReport) -> None:
        _tell(speaker, report)

    def on_trouble(error: SyncError, wait: float) -> None:
        text = f"{error.message} Trying again in {wait:.0f} s."
        speaker.insist(text, "trouble", message=error.message, retry_seconds=wait)

    with bars_for(speaker) as bars:
        async with open_folder(folder, Narrator(speaker, bars)) as at_work:
            with at_work.alone():
                speaker.say(f"Watching {name_shown(folder.path)}.", "watching", path=folder.path)
                await watch_mirror(
                    at_work.mirror,
                    stop=stop,
                    on_report=on_report,
                    on_trouble=on_trouble,
                    rhythm=rhythm,
                )


def _tell(speaker: Speaker, report: MirrorReport) -> None:
    """Print the result of a sync that did something. Each sync has its own exit code."""
    speaker.exit_code = ExitCode.OK
    if report.done or report.failures or report.problems or report.conflicts:
        fields = tell_report(speaker, report)
        speaker.say("", "synced", **fields) if speaker.as_json else None
