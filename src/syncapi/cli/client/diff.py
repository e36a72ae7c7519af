"""``syncapi diff``: compare files here with the server's versions."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from syncapi.cli.client.arguments import verb_app
from syncapi.cli.client.console import AsEvents, Speaker, speaking
from syncapi.cli.client.documents import document_at
from syncapi.cli.client.file_diff import Side, compare_sides
from syncapi.cli.client.mirror_factory import Opened, choose_folder, find_plan, open_folder
from syncapi.cli.client.registry import Folder
from syncapi.cli.client.runner import run
from syncapi.cli.exit_codes import ExitCode
from syncapi.client.folder.plan.actions import Download, Update
from syncapi.client.transfer.downloads import Downloader
from syncapi.client.transfer.sinks import PartFile
from syncapi.protocol.documents import Document

app = verb_app()


@app.command()
def diff(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PATH", help="Default: all that were edited on either side."),
    ] = None,
    as_json: AsEvents = False,
) -> None:
    """Compare files here with the server's version: `-` is there, `+` is here.

    Text is compared line by line, anything else by size and hash. Exit codes: 0 the same, 3 they
    differ.
    """
    with speaking(speaker := Speaker(as_json)) as summary:
        folder = choose_folder(paths[0] if paths else None, speaker)
        differing = run(_compare_all(folder, paths or [], speaker))
        if differing:
            speaker.worsen(ExitCode.PARTLY)
        else:
            speaker.say("No difference.")
        summary.update({"differing": differing})


async def _compare_all(folder: Folder, files: list[Path], speaker: Speaker) -> int:
    async with open_folder(folder) as at_work:
        paths = [at_work.path_of(file) for file in files] or await _list_edited(at_work, speaker)
        with tempfile.TemporaryDirectory(prefix="syncapi-diff-") as scratch:
            found = [await _compare(at_work, path, Path(scratch), speaker) for path in paths]
    return sum(found)


async def _list_edited(at_work: Opened, speaker: Speaker) -> list[str]:
    plan = await find_plan(at_work, speaker)
    return sorted(
        action.path
        for action in plan.actions
        if (isinstance(action, Update) and action.sha256)
        or (isinstance(action, Download) and action.replaces_sha256)
    )


async def _compare(at_work: Opened, path: str, scratch: Path, speaker: Speaker) -> bool:
    found = await document_at(at_work, path)
    document = None if found.is_deleted else await at_work.client.document(found.id)
    here = at_work.folder.path / path
    new = Side(f"here/{path}", here if here.is_file() else None)
    sha256 = new.sha256()
    theirs = document.file.sha256_hash if document else None
    if sha256 == theirs:
        return False
    old = Side(f"server/{path}", await _fetch(at_work, document, scratch) if document else None)
    speaker.say(
        "\n".join(compare_sides(old, new)),
        "differs",
        path=path,
        here_sha256=sha256,
        here_bytes=new.size,
        server_sha256=theirs,
        server_bytes=old.size,
        diff=list(compare_sides(old, new)),
    )
    return True


async def _fetch(at_work: Opened, document: Document, scratch: Path) -> Path:
    part, whole = scratch / f"{document.id}.part", scratch / str(document.id)
    sink = PartFile(part)
    await Downloader(at_work.client).fetch(document, sink)
    sink.place(whole)
    return whole
