"""``syncapi doctor``: what is in the way, and what to do about it."""

import asyncio
from pathlib import Path

from syncapi.cli.client.accounts import DEFAULT_ACCOUNT
from syncapi.cli.client.arguments import AccountName, FolderPath, verb_app
from syncapi.cli.client.console import AsEvents, Quiet, Speaker, speaking
from syncapi.cli.client.findings import Finding, Level
from syncapi.cli.client.folder_checks import look_here
from syncapi.cli.client.registry import Folder, folder_of
from syncapi.cli.client.server_checks import look_at_server
from syncapi.cli.exit_codes import CommandFailed, ExitCode

app = verb_app()


@app.command()
def doctor(
    folder: FolderPath = None,
    account: AccountName = DEFAULT_ACCOUNT,
    as_json: AsEvents = False,
    quiet: Quiet = False,
) -> None:
    """Look for what is in the way: server, clock, token, role, signed URLs, disk, local state.

    Without a folder it looks at the account alone. The exit code is that of the worst finding.
    """
    with speaking(speaker := Speaker(as_json, quiet)) as summary:
        place, findings = _folder(folder)
        if place is not None:
            account = place.account
            findings += look_here(place)
        findings += asyncio.run(look_at_server(account))
        for finding in findings:
            _tell(speaker, finding)
        summary.update({level.value: sum(f.level is level for f in findings) for level in Level})


def _folder(path: Path | None) -> tuple[Folder | None, list[Finding]]:
    try:
        folder, _ = folder_of(path or Path())
    except CommandFailed as failure:
        if path is None and failure.exit_code is ExitCode.USAGE:
            return None, []  # no folder was named
        return None, [Finding.of_failure("folder", failure)]
    return folder, [Finding.ok("folder", f"{folder.path}, account '{folder.account}'")]


def _tell(speaker: Speaker, finding: Finding) -> None:
    text = f"{finding.level.value:<4}  {finding.what}: {finding.said}"
    if finding.hint:
        text += f"\n      next: {finding.hint}"
    tell = speaker.say if finding.level is Level.OK else speaker.insist
    tell(
        text,
        "finding",
        level=finding.level.value,
        what=finding.what,
        said=finding.said,
        hint=finding.hint,
    )
    if finding.level is Level.FAIL:
        speaker.worsen(finding.exit_code)
