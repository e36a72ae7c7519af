"""``syncapi ignored``: list what is in a folder and not kept in step."""

from syncapi.cli.client.arguments import FolderPath, verb_app
from syncapi.cli.client.console import AsEvents, Speaker, format_count, speaking
from syncapi.cli.client.mirror_factory import choose_folder, open_folder
from syncapi.cli.client.registry import Folder
from syncapi.cli.client.runner import run
from syncapi.cli.printable import name_shown

app = verb_app()


@app.command()
def ignored(folder: FolderPath = None, as_json: AsEvents = False) -> None:
    """List what is in the folder and not kept in step, and why.

    Write patterns into the file .syncignore of the folder; they are those of .gitignore.
    """
    with speaking(speaker := Speaker(as_json)) as summary:
        left_alone = run(_list_ignored(choose_folder(folder, speaker)))
        for path, why in left_alone:
            speaker.say(f"  {name_shown(path)}: {why}", "ignored", path=path, why=why)
        speaker.say(f"{format_count(len(left_alone), 'path')} left alone.")
        summary.update({"ignored": len(left_alone)})


async def _list_ignored(folder: Folder) -> list[tuple[str, str]]:
    async with open_folder(folder) as at_work:
        return await at_work.mirror.ignored()
