"""Whether the server still has what is held here."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from syncapi.client.api.client import Client
from syncapi.client.errors import NotFound
from syncapi.client.replica.conflicts import values_of
from syncapi.wire.documents import Document
from syncapi.wire.history import DocumentVersion

_AT_ONCE: Final = 8


async def missing_in_history(client: Client, versions: Sequence[Document]) -> list[Document]:
    """Those of some versions that the server does not know."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def is_known(held: Document) -> bool:
        async with slots:
            return await is_in_history(client, held)

    known = await asyncio.gather(*map(is_known, versions), return_exceptions=True)
    for answer in known:
        if isinstance(answer, BaseException):
            raise answer
    return [held for held, answer in zip(versions, known, strict=True) if answer is False]


async def is_in_history(client: Client, held: Document) -> bool:
    """Whether a document's history has a version: this one, or a later one of equal values.

    A later one is the version after somebody else has brought it back.
    """
    since = await _versions_since(client, held.id, held.updated_at)
    return any(v.updated_at == held.updated_at or _is_alike(v, held) for v in since)


async def has_version(client: Client, document_id: UUID, version: datetime) -> bool:
    """Whether a document's history has the version of this time."""
    since = await _versions_since(client, document_id, version)
    return any(found.updated_at == version for found in since)


async def versions_of(client: Client, document_id: UUID) -> AsyncIterator[DocumentVersion]:
    """All versions, newest first; none of a document that never was, or was erased."""
    try:
        async for version in client.versions(document_id):
            yield version
    except NotFound:
        return


async def _versions_since(
    client: Client, document_id: UUID, version: datetime
) -> list[DocumentVersion]:
    """The version of a time and those after it; none of a document that the server has not."""
    found: list[DocumentVersion] = []
    async for one in versions_of(client, document_id):
        if one.updated_at < version:
            break
        found.append(one)
    return found


def _is_alike(version: DocumentVersion, held: Document) -> bool:
    if version.is_deleted or version.file is None:
        return False
    values = {
        "folder": version.folder,
        "filename": version.filename,
        "mime_type": version.mime_type,
        "content": version.file.sha256_hash,
    }
    return values == values_of(held)
