"""Whether the bytes that arrived are those that were declared."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import aclosing, closing
from typing import Final

from syncapi.protocol.content import Digest
from syncapi.server.domain.errors import NotFound
from syncapi.server.storage.s3 import ObjectStore, StoredObject

_GULP: Final = 4 * 1024**2
"""How many bytes are hashed at a time, in threads."""

_AT_ONCE: Final = 8
"""How many objects are read at a time: more would keep other requests from S3."""

_PATIENCE: Final = 10.0
"""How many seconds S3 may fail while an object is read, so that a large one is not begun again."""


class Verifier:
    """Finds out the digest of objects.

    Args:
        store: where they are.
        trusts_checksums: S3 holds what is sent against ``x-amz-checksum-sha256``.
    """

    def __init__(self, store: ObjectStore, *, trusts_checksums: bool) -> None:
        self._store = store
        self._trusts_checksums = trusts_checksums
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def digest(self, key: str, declared: Digest) -> Digest | None:
        """The digest of the object; None if there is none, or none any more.

        It is read, a few megabytes at a time, unless its length is wrong already or S3's own
        checksum says that it has the declared bytes.

        Raises:
            Unavailable: S3 failed.
        """
        stored = await self._store.head(key)
        if stored is None:
            return None
        if self._trusts_checksums and _is_confirmed(stored, declared):
            return declared
        if stored.size != declared.file_size:
            return Digest(declared.md5_hash, declared.sha256_hash, stored.size)
        async with self._slots:
            opened = await self._store.open(key, reading=_PATIENCE)
            if opened is None:
                return None
            with closing(opened):
                async with aclosing(opened.pieces()) as pieces:
                    try:
                        return await _hash(pieces)
                    except NotFound:  # deleted while it was read
                        return None


def _is_confirmed(stored: StoredObject, declared: Digest) -> bool:
    """Whether S3's SHA-256, size and entity tag (the MD5 of a plain PUT) are the declared ones."""
    return (
        stored.size == declared.file_size
        and stored.sha256_hash == declared.sha256_hash
        and stored.etag.strip('"') == declared.md5_hash
    )


async def _hash(pieces: AsyncIterator[bytes]) -> Digest:
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    size = 0
    gulp = bytearray()

    async def swallow() -> None:
        # Both run at once, since hashlib releases the interpreter's lock.
        await asyncio.gather(
            asyncio.to_thread(md5.update, gulp), asyncio.to_thread(sha256.update, gulp)
        )
        gulp.clear()

    async for piece in pieces:
        size += len(piece)
        gulp += piece
        if len(gulp) >= _GULP:
            await swallow()
    await swallow()
    return Digest(md5.hexdigest(), sha256.hexdigest(), size)
