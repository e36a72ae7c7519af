"""Whether the server still has what is held here."""

import asyncio
from collections.abc import Sequence
from typing import Final

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
    try:
        async for version in client.versions(held.id):
            if version.updated_at <= held.updated_at:
                return version.updated_at == held.updated_at
            if _is_alike(version, held):
                return True
    except NotFound:
        pass
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
