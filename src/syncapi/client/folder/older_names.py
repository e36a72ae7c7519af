"""What may have come back under an older name, and what is missing since: read from a plan."""

from collections.abc import Iterable
from typing import TypeAlias
from uuid import UUID

from syncapi.client.folder.actions import Create, Delete, Download, Plan, SetAside, Update
from syncapi.client.folder.model import EMPTY, Base
from syncapi.client.folder.names import split

PlacedBytes: TypeAlias = tuple[str, str, str]
"""Folder, name and SHA-256 of a file."""


def missing_files(planned: Plan, entries: Iterable[Base]) -> dict[UUID, str]:
    """SHA-256 of the files that are gone from here, by document, as they were."""
    gone = {
        action.id
        for action in planned.actions
        if isinstance(action, Delete)
        or (isinstance(action, Download) and action.replaces_sha256 is None)
    }
    return {
        entry.id: entry.sha256
        for entry in entries
        if entry.id in gone and entry.sha256 and entry.version is not None and not entry.lost
    }


def changed_files(planned: Plan) -> dict[PlacedBytes, UUID | None]:
    """Files with bytes or a name that are new there, and the documents that they are taken for.

    A backup does not only bring what looks like new files. It may seem to edit a document that
    has the old name by now, or to rename one that has the old bytes.
    """
    found: dict[PlacedBytes, UUID | None] = {}
    for action in planned.actions:
        match action:
            case Create(restores=False) | Update():
                entry = action.entry
                found[entry.folder, entry.filename, entry.sha256] = action.id
            case SetAside():
                found[*split(action.path), action.sha256] = action.id
    return {file: document for file, document in found.items() if file[2] != EMPTY}
