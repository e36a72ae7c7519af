"""A stream of bytes, cut into parts and hashed on the way."""

import asyncio
import hashlib
from base64 import b64encode
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from syncapi.protocol.content import Digest
from syncapi.server.domain.errors import TooLarge

_GULP = 1024**2
_CHEAP = 64 * 1024
"""Bytes that are hashed sooner than a thread takes them over."""


async def parts_of(chunks: AsyncIterator[bytes], size: int, limit: int) -> AsyncGenerator[bytes]:
    """Regroup ``chunks`` into parts of ``size`` bytes; the last one is shorter, maybe empty.

    Raises:
        TooLarge: as soon as more than ``limit`` bytes have come.
    """
    buffer = bytearray()
    total = 0
    async for chunk in chunks:
        total += len(chunk)
        if total > limit:
            raise TooLarge(f"The file is larger than the {limit} bytes that are accepted.")
        buffer += chunk
        while len(buffer) >= size:
            with memoryview(buffer) as view:
                part = bytes(view[:size])
            del buffer[:size]
            yield part
    yield bytes(buffer)


async def digest_of(chunks: AsyncIterator[bytes], limit: int) -> Digest:
    """The digest of ``chunks``, which are not kept.

    Raises:
        TooLarge: as soon as more than ``limit`` bytes have come.
    """
    hasher = ContentHasher()
    async with aclosing(parts_of(chunks, _GULP, limit)) as parts:
        async for part in parts:
            await hasher.add(part)
    return hasher.digest()


class ContentHasher:
    """Hashes parts in their order, large ones in a thread: hashlib lets go of the lock."""

    def __init__(self) -> None:
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha256 = hashlib.sha256()
        self._size = 0

    async def add(self, part: bytes) -> str:
        """Take in the next part, and return its own MD5 as ``Content-MD5`` wants it."""
        if len(part) <= _CHEAP:
            return self._add(part)
        return await asyncio.to_thread(self._add, part)

    def digest(self) -> Digest:
        return Digest(self._md5.hexdigest(), self._sha256.hexdigest(), self._size)

    def _add(self, part: bytes) -> str:
        self._md5.update(part)
        self._sha256.update(part)
        self._size += len(part)
        return b64encode(hashlib.md5(part, usedforsecurity=False).digest()).decode()
