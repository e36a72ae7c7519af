"""Whether the server still has what is held here."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final
from uuid import UUID

from syncapi.client.api.client import Client
from syncapi.client.errors import NotFound
from syncapi.client.follower.values import values_of
from syncapi.protocol.documents import Document
from syncapi.protocol.history import DocumentVersion

_AT_ONCE: Final = 8


async def missing_in_history(client: Client, versions: Sequence[Document]) -> list[Document]:
    """The versions that the server has lost, and of which it has no later one of equal values.

    A later version of equal values means that another client has brought the lost one back.
    """
    unknown = await client.unknown_versions((held.id, held.updated_at) for held in versions)
    doubtful = [held for held in versions if (held.id, held.updated_at) in unknown]
    slots = asyncio.Semaphore(_AT_ONCE)

    async def is_back(held: Document) -> bool:
        async with slots:
            return await _is_back(client, held)

    back = await asyncio.gather(*map(is_back, doubtful), return_exceptions=True)
    for answer in back:
        if isinstance(answer, BaseException):
            raise answer
    return [held for held, answer in zip(doubtful, back, strict=True) if answer is False]


async def versions_of(client: Client, document_id: UUID) -> AsyncIterator[DocumentVersion]:
    """All versions, newest first; none of a document that never was, or was erased."""
    try:
        async for version in client.versions(document_id):
            yield version
    except NotFound:
        return


async def _is_back(client: Client, held: Document) -> bool:
    async for version in versions_of(client, held.id):
        if version.updated_at < held.updated_at:
            break
        if _is_alike(version, held):
            return True
    return False


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
