"""``syncapi forget``: keep a folder in step no longer."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from syncapi.cli.client.arguments import verb_app
from syncapi.cli.client.console import AsEvents, Quiet, Speaker, speaking
from syncapi.cli.client.registry import Folder, folders, read_mark, unmark
from syncapi.cli.exit_codes import CommandFailed, ExitCode
from syncapi.cli.printable import name_shown
from syncapi.client.store.lock import ReplicaLock

app = verb_app()


@app.command()
def forget(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder itself.")],
    as_json: AsEvents = False,
    quiet: Quiet = False,
) -> None:
    """Keep a folder in step no longer. Its files stay here and on the server.

    What was synced last is forgotten. The trash stays where it is if there is anything in it.
    While another process syncs the folder, as `watch` does, nothing is done: end it first.
    """
    with speaking(speaker := Speaker(as_json, quiet)):
        leaving = _find_folder(folder)
        with ReplicaLock(leaving.state):  # no other process syncs it, or goes on to
            with folders().change() as known:
                known.folders = [one for one in known.folders if one.id != leaving.id]
            if read_mark(leaving.path) == leaving.id:
                unmark(leaving.path)
            trash = _clear(leaving)
        kept = f" Its trash is still in {name_shown(trash)}." if trash else ""
        speaker.say(
            f"{name_shown(leaving.path)} is kept in step no longer.{kept}",
            "forgotten",
            path=leaving.path,
            trash=trash,
        )


def _find_folder(path: Path) -> Folder:
    place = path.expanduser().absolute()
    for folder in folders().read().folders:
        if folder.path in {place, place.resolve()}:
            return folder
    raise CommandFailed(
        f"{place} is not kept in step",
        ExitCode.USAGE,
        hint="`syncapi status` lists those that are",
    )


def _clear(folder: Folder) -> Path | None:
    trash = folder.state / "trash"
    if not trash.is_dir() or not any(path.is_file() for path in trash.rglob("*")):
        shutil.rmtree(folder.state, ignore_errors=True)
        return None
    for path in folder.state.iterdir():
        if path != trash:
            path.unlink() if path.is_file() else shutil.rmtree(path)
    return trash
