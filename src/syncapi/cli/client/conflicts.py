"""``syncapi conflicts``: list, show and resolve files that were changed on both sides."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from syncapi.cli.client.arguments import FilePath, FolderPath, verb_app
from syncapi.cli.client.bars import bars_for
from syncapi.cli.client.console import AsEvents, Quiet, Speaker, Verbose, format_count, speaking
from syncapi.cli.client.file_diff import Side, compare_sides
from syncapi.cli.client.mirror_factory import Opened, choose_folder, open_folder
from syncapi.cli.client.registry import Folder
from syncapi.cli.client.runner import run
from syncapi.cli.client.sync_output import Narrator, tell_conflicts
from syncapi.cli.client.sync_run import follow_up
from syncapi.cli.exit_codes import CommandFailed, ExitCode
from syncapi.cli.printable import name_shown
from syncapi.client.folder.memory.conflicts import SeveralConflicts
from syncapi.client.folder.reports import FolderConflict

app = verb_app(
    "List, show and resolve files that were changed on both sides.", no_args_is_help=True
)

Keep = Literal["mine", "theirs", "both"]


@app.command("list")
def list_conflicts(folder: FolderPath = None, as_json: AsEvents = False) -> None:
    """List the files of which there are two versions. Exit code 4 if there are any."""
    with speaking(speaker := Speaker(as_json, verbose=True)) as summary:
        found = run(_read_conflicts(choose_folder(folder, speaker)))
        tell_conflicts(speaker, found)
        if found:
            speaker.worsen(ExitCode.CONFLICTS)
        else:
            speaker.say("No conflicts.")
        summary.update(conflicts=len(found))


@app.command()
def show(path: FilePath, as_json: AsEvents = False) -> None:
    """Compare the two versions of a file: `-` is theirs, `+` is yours."""
    with speaking(speaker := Speaker(as_json)):
        folder = choose_folder(path, speaker)
        conflict, names, are_known = run(_find_sides(folder, path))
        theirs, mine = (
            Side(name, file if file.is_file() else None)
            for name in names
            for file in [folder.path / name]
        )
        speaker.say(
            "\n".join(compare_sides(theirs, mine)),
            "compared",
            path=conflict.path,
            copy_path=conflict.copy_path,
            theirs_sha256=theirs.sha256(),
            mine_sha256=mine.sha256(),
            diff=list(compare_sides(theirs, mine)),
            sides_known=are_known,
        )
        if not are_known:
            speaker.insist(
                "Both files were replaced after an earlier decision was broken off, so that "
                "nothing shows which is whose. The copy counts as yours."
            )
        name = name_shown(path)
        speaker.say(f"Next: syncapi conflicts resolve {name} --keep mine|theirs|both")


@app.command()
def resolve(
    path: FilePath,
    keep: Annotated[
        Keep,
        typer.Option(
            help="mine: your bytes take the name, and the copy goes. theirs: the copy goes. "
            "both: two files, for good."
        ),
    ],
    no_sync: Annotated[
        bool, typer.Option("--no-sync", help="Leave it to the next sync to send it.")
    ] = False,
    as_json: AsEvents = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Decide which version of a file stays, and sync.

    What goes is in the trash of this machine, and in the server's history.
    """
    speaker = Speaker(as_json, quiet, verbose)
    with speaking(speaker) as summary:
        folder = choose_folder(path, speaker)
        summary.update(run(_resolve(folder, path, keep, speaker, sync=not no_sync)))


async def _read_conflicts(folder: Folder) -> list[FolderConflict]:
    async with open_folder(folder) as at_work:
        return at_work.mirror.conflicts()


async def _find_sides(folder: Folder, path: Path) -> tuple[FolderConflict, tuple[str, str], bool]:
    """The conflict of a file, the paths of their version and mine, and whether these are known."""
    async with open_folder(folder) as at_work:
        conflict, mirror = _find_conflict(at_work, path), at_work.mirror
        return conflict, mirror.sides_of(conflict), mirror.are_sides_known(conflict)


def _find_conflict(at_work: Opened, path: Path) -> FolderConflict:
    wanted = at_work.path_of(path)
    try:
        conflict = at_work.mirror.conflict_of(wanted)
    except SeveralConflicts as error:
        raise CommandFailed(error.message, ExitCode.USAGE, hint=error.hint) from error
    if conflict is None:
        listed = "".join(f"\n  {other.path}" for other in at_work.mirror.conflicts())
        there_are = f"Conflicts are:{listed}" if listed else "There are none."
        raise CommandFailed(f"{wanted} has no conflict. {there_are}", ExitCode.USAGE)
    return conflict


async def _resolve(
    folder: Folder, path: Path, keep: Keep, speaker: Speaker, *, sync: bool
) -> dict[str, object]:
    with bars_for(speaker) as bars:
        async with open_folder(folder, Narrator(speaker, bars)) as at_work:
            conflict = _find_conflict(at_work, path)
            at_work.mirror.resolve(conflict.copy_path, keep)
            speaker.say(
                f"Resolved {name_shown(conflict.path)}: kept {keep}.",
                "resolved",
                path=conflict.path,
                copy_path=conflict.copy_path,
                keep=keep,
            )
            if sync:
                return await follow_up(at_work, speaker, "both")
            left = at_work.mirror.conflicts()
            if left:
                speaker.say(f"{format_count(len(left), 'conflict')} left.")
            return {"conflicts": len(left)}
