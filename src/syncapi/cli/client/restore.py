"""``syncapi restore``: bring back a deleted file, or an earlier version of one."""

from pathlib import Path
from typing import Annotated

import typer

from syncapi.cli.client.arguments import FilePath, verb_app
from syncapi.cli.client.bars import bars_for
from syncapi.cli.client.console import AsEvents, Quiet, Speaker, Verbose, speaking
from syncapi.cli.client.documents import document_at, versions_of
from syncapi.cli.client.mirror_factory import Opened, choose_folder, open_folder
from syncapi.cli.client.registry import Folder
from syncapi.cli.client.runner import run
from syncapi.cli.client.sync_output import Narrator
from syncapi.cli.client.sync_run import follow_up
from syncapi.cli.exit_codes import CommandFailed, ExitCode
from syncapi.cli.printable import name_shown
from syncapi.protocol.base import format_time
from syncapi.protocol.documents import Document
from syncapi.protocol.history import DocumentVersion

app = verb_app()


@app.command()
def restore(
    path: FilePath,
    version: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Of `syncapi history`; its beginning is enough."),
    ] = None,
    no_pull: Annotated[
        bool, typer.Option("--no-pull", help="Restore it on the server alone.")
    ] = False,
    as_json: AsEvents = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Bring back a deleted file, or an earlier version of one, and fetch it.

    What the file is until then stays in its history. Without --version a deleted file comes back
    as it was.
    """
    speaker = Speaker(as_json, quiet, verbose)
    with speaking(speaker) as summary:
        folder = choose_folder(path, speaker)
        summary.update(run(_restore(folder, path, version, speaker, fetch=not no_pull)))


async def _restore(
    folder: Folder, path: Path, version: str | None, speaker: Speaker, *, fetch: bool
) -> dict[str, object]:
    with bars_for(speaker) as bars:
        async with open_folder(folder, Narrator(speaker, bars)) as at_work:
            document = await _bring_back(at_work, at_work.path_of(path), version)
            where = "/".join(part for part in (document.folder, document.filename) if part)
            speaker.say(
                f"Restored {name_shown(where)} on the server.",
                "restored",
                path=where,
                document_id=document.id,
                updated_at=document.updated_at,
            )
            if not fetch:
                return {}
            return await follow_up(at_work, speaker, "pull")


async def _bring_back(at_work: Opened, path: str, wanted: str | None) -> Document:
    found = await document_at(at_work, path)
    if wanted is None:
        if not found.is_deleted:
            raise CommandFailed(
                f"{path} is not deleted: say which version of it you want",
                ExitCode.USAGE,
                hint=f"syncapi history {path}",
            )
        return await at_work.client.restore(found.id)
    versions = await versions_of(at_work.client, found.id)
    version = _choose_version(versions, wanted, path)
    return await at_work.client.restore(found.id, updated_at=version.updated_at)


def _choose_version(versions: list[DocumentVersion], wanted: str, path: str) -> DocumentVersion:
    fitting = [v for v in versions if format_time(v.updated_at).startswith(wanted)]
    if len(fitting) == 1:
        return fitting[0]
    what = "no version" if not fitting else f"{len(fitting)} versions"
    raise CommandFailed(
        f"{path} has {what} whose time begins with '{wanted}'",
        ExitCode.USAGE,
        hint=f"syncapi history {path}",
    )
