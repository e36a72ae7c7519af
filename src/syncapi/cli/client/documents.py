"""Finds the document of a path, live or deleted."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from uuid import UUID

from syncapi.cli.client.mirror_factory import Opened
from syncapi.cli.exit_codes import CommandFailed
from syncapi.client.api.client import Client
from syncapi.client.errors import CursorExpired, NotFound
from syncapi.protocol.history import DocumentVersion
from syncapi.protocol.sync import Tombstone

_AT_ONCE = 8
_DAYS_BACK = (365, 90, 30, 7, 1)


@dataclass(frozen=True, slots=True)
class Found:
    """A document that was found by its path."""

    id: UUID
    is_deleted: bool


async def document_at(at_work: Opened, path: str) -> Found:
    """The document at a path; if there is none, the latest deleted one that was there.

    Raises:
        CommandFailed: the server knows no document at that path, live or deleted.
    """
    entry = at_work.mirror.find(path)
    if entry is not None:
        return Found(entry.id, is_deleted=False)
    listed = await _find_live(at_work.client, path)
    if listed is not None:
        return Found(listed, is_deleted=False)
    deleted = await _find_deleted(at_work, path)
    if deleted is not None:
        return Found(deleted, is_deleted=True)
    raise CommandFailed(
        f"the server has no document {path}, and none that was deleted",
        hint="check the spelling; `syncapi status` says what is not sent yet",
    )


async def versions_of(client: Client, document_id: UUID) -> list[DocumentVersion]:
    """All versions, newest first."""
    return [version async for version in client.versions(document_id)]


async def _find_live(client: Client, path: str) -> UUID | None:
    """A document that is on the server, but not here yet."""
    folder, _, name = path.rpartition("/")
    page = 1
    while True:
        found = await client.documents(page=page, per_page=100, filename=name)
        for document in found.documents:
            if (document.folder, document.filename) == (folder, name):
                return document.id
        if page >= found.pagination.pages:
            return None
        page += 1


async def _find_deleted(at_work: Opened, path: str) -> UUID | None:
    """Search the deleted documents, latest first, by the names in their histories."""
    graves = sorted(await _graves(at_work), key=lambda grave: grave.deleted_at, reverse=True)
    for start in range(0, len(graves), _AT_ONCE):
        group = graves[start : start + _AT_ONCE]
        paths = await asyncio.gather(*(_last_path(at_work.client, grave.id) for grave in group))
        if path in paths:
            return group[paths.index(path)].id
    return None


async def _graves(at_work: Opened) -> list[Tombstone]:
    """The tombstones that the server still has.

    The server lists none to a `since` from before the tenant's first document, and refuses one
    from before those that it has collected. It does not say when that was, so several are tried.
    """
    now = datetime.now(UTC)
    known = [document.created_at for document in at_work.mirror.documents()]
    first = min([*known, at_work.folder.created_at])
    for since in (first, *(now - timedelta(days=days) for days in _DAYS_BACK)):
        try:
            if since >= first:
                return [grave async for grave in _graves_since(at_work.client, since)]
        except CursorExpired:
            continue
    return []


async def _graves_since(client: Client, since: datetime) -> AsyncIterator[Tombstone]:
    page = await client.pull(cursor=None, since=since, include_urls=False)
    while True:
        for grave in page.deleted:
            yield grave
        if not page.has_more:
            return
        page = await client.pull(cursor=page.sync_token, include_urls=False)


async def _last_path(client: Client, document_id: UUID) -> str | None:
    try:
        versions: Sequence[DocumentVersion] = (await client.history(document_id)).versions
    except NotFound:  # it was erased
        return None
    if not versions:
        return None
    return (PurePosixPath(versions[0].folder) / versions[0].filename).as_posix()
