"""``syncapi history``: the versions that a file had."""

from pathlib import Path
from uuid import UUID

from syncapi.cli.client.arguments import FilePath, verb_app
from syncapi.cli.client.console import AsEvents, Speaker, columns, format_size, speaking
from syncapi.cli.client.documents import document_at, versions_of
from syncapi.cli.client.mirror_factory import choose_folder, open_folder
from syncapi.cli.client.registry import Folder
from syncapi.cli.client.runner import run
from syncapi.cli.printable import name_shown
from syncapi.protocol.base import format_time
from syncapi.protocol.history import DocumentVersion

app = verb_app()


@app.command()
def history(path: FilePath, as_json: AsEvents = False) -> None:
    """List the versions of a file, newest first; of a deleted file, too."""
    with speaking(speaker := Speaker(as_json)) as summary:
        document_id, versions = run(_versions(choose_folder(path, speaker), path))
        for version in versions if as_json else ():
            speaker.say("", "version", **version.model_dump(mode="json"))
        for line in columns([_row(version) for version in versions]):
            speaker.say(line)
        speaker.say(f"Next: syncapi restore {name_shown(path)} --version TIME")
        summary.update({"document_id": document_id, "versions": len(versions)})


async def _versions(folder: Folder, path: Path) -> tuple[UUID, list[DocumentVersion]]:
    async with open_folder(folder) as at_work:
        found = await document_at(at_work, at_work.path_of(path))
        return found.id, await versions_of(at_work.client, found.id)


def _row(version: DocumentVersion) -> list[str]:
    who = (
        str(version.changed_by) if version.changed_by else f"database role {version.database_role}"
    )
    if version.is_deleted:
        what = ["deleted", ""]
    elif version.file is None:
        what = ["bytes are gone", ""]
    else:
        what = [format_size(version.file.file_size), version.file.sha256_hash[:12]]
    where = "/".join(part for part in (version.folder, version.filename) if part)
    return [format_time(version.updated_at), *what, who, name_shown(where)]
