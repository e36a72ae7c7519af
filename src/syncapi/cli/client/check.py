"""``syncapi check``: compare every byte of a folder with the server."""

from collections import Counter

from syncapi.cli.client.arguments import FolderPath, verb_app
from syncapi.cli.client.console import (
    AsEvents,
    Line,
    Quiet,
    Speaker,
    Verbose,
    format_count,
    speaking,
)
from syncapi.cli.client.mirror_factory import choose_folder, open_folder
from syncapi.cli.client.registry import Folder
from syncapi.cli.client.runner import run
from syncapi.cli.exit_codes import ExitCode
from syncapi.cli.printable import name_shown
from syncapi.client.folder.reports import Checked, CheckReport

app = verb_app()

_WORDS = {
    "ok": "the same on both sides",
    "missing": "not here, but on the server",
    "different": "not the server's bytes",
    "extra": "here, but not on the server",
    "unreadable": "cannot be read",
}


@app.command()
def check(
    folder: FolderPath = None,
    as_json: AsEvents = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Read every file again, and compare it with the server by SHA-256. Changes nothing.

    Exit codes: 0 all is the same on both sides, 3 something differs.
    """
    speaker = Speaker(as_json, quiet, verbose)
    with speaking(speaker) as summary:
        report = run(_check(choose_folder(folder, speaker)))
        speaker.name_some(map(_line, report.files), "file")
        for fault in report.store:
            speaker.insist(f"  the folder's state: {fault}", "store", detail=fault)
        counts = Counter(one.state for one in report.files)
        if not report.is_well:
            speaker.worsen(ExitCode.PARTLY)
        speaker.say(_verdict(report, counts["ok"]))
        summary.update({"counts": counts, "is_well": report.is_well})


def _line(one: Checked) -> Line:
    text = f"  {name_shown(one.path)}: {_WORDS[one.state]}"
    fields = {"path": one.path, "state": one.state}
    return Line(text, "checked", fields, is_detail=one.state == "ok")


async def _check(folder: Folder) -> CheckReport:
    async with open_folder(folder) as at_work:
        with at_work.alone():
            return await at_work.mirror.check()


def _verdict(report: CheckReport, same: int) -> str:
    if report.is_well:
        return f"{format_count(same, 'file')}, the same on both sides."
    differing = format_count(len(report.files) - same, "file")
    return f"{differing} of {len(report.files):,} not the same. Next: syncapi sync"
