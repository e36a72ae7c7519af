"""What may have come back under an older name, and what is missing since."""

from collections.abc import Iterable, Iterator
from typing import TypeAlias
from uuid import UUID

from syncapi.client.folder.conflict_names import apart_paths
from syncapi.client.folder.model import EMPTY, Base, Scan
from syncapi.client.folder.names import join
from syncapi.client.folder.plan.actions import (
    Delete,
    Download,
    Forget,
    Move,
    Plan,
    SetAside,
    Update,
)
from syncapi.client.folder.rules import Rules
from syncapi.protocol.history import DocumentVersion

PlacedBytes: TypeAlias = tuple[str, str]
"""Path and SHA-256 of a file. Paths that the disk takes for one are one (see `Rules.key`)."""


def missing_files(planned: Plan, found: Scan, entries: Iterable[Base]) -> dict[UUID, str]:
    """SHA-256 of the files that are gone from here, by document, as they were.

    So they are whatever becomes of their documents: others may have edited or deleted those. What
    is only seen again, since its path is no longer ignored, is left out: that it is missing says
    nothing.
    """
    files = {file.path for file in found.files}
    gone = {
        action.id
        for action in planned.actions
        if isinstance(action, Delete | Forget)
        or (isinstance(action, Download) and action.replaces_sha256 is None)
    }
    gone |= {
        pending.id
        for pending in planned.pending
        if pending.id is not None and pending.kind in {"delete", "download"}
        if pending.path not in files
    }
    return {
        entry.id: entry.sha256
        for entry in entries
        if entry.id in gone and entry.path not in files
        if entry.sha256 and entry.version is not None and not entry.was_ignored
    }


def changed_files(found: Scan, entries: Iterable[Base], rules: Rules) -> set[PlacedBytes]:
    """Files with bytes or a name that are new there, whatever the plan takes them for.

    A backup does not only bring what looks like new files. It may seem to edit a document that
    has the old name by now, to be one side of a conflict, or to rename a copy, which others may
    have renamed, too.
    """
    agreed = {(entry.path, entry.sha256) for entry in entries if entry.version is not None}
    return {
        (rules.key(file.path), file.sha256)
        for file in found.files
        if file.sha256 != EMPTY and (file.path, file.sha256) not in agreed
    }


def edited_files(planned: Plan, rules: Rules) -> dict[PlacedBytes, UUID]:
    """Those among them that are taken for edits of documents, or for one side of a conflict.

    A document that others have renamed still lies at its old name.
    """
    found: dict[PlacedBytes, UUID] = {}
    moved_from: dict[UUID, str] = {}
    for action in planned.actions:
        match action:
            case Move():
                moved_from.setdefault(action.id, action.path)
            case Update():
                path = moved_from.get(action.id, action.path)
                found[rules.key(path), action.entry.sha256] = action.id
            case SetAside(id=UUID() as document_id):
                found[rules.key(action.path), action.sha256] = document_id
    return {file: document for file, document in found.items() if file[1] != EMPTY}


def places_of(document_id: UUID, version: DocumentVersion, rules: Rules) -> Iterator[PlacedBytes]:
    """Where the file of a version may have been here, with its bytes.

    Two documents that shared the name could not both have it on the disk.
    """
    if version.file is None:
        return
    path = join(version.folder, version.filename)
    for place in (path, *apart_paths(path, document_id)):
        yield rules.key(place), version.file.sha256_hash
