"""Bytes that can be read again and again, and what identifies them."""

import hashlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from syncapi.protocol.content import Digest

BLOCK: Final = 1024**2
"""Bytes that are read, hashed or written at once."""


class Content(Protocol):
    """Bytes of known size that can be read from any place, as often as needed."""

    @property
    def size(self) -> int:
        """In bytes."""
        ...

    def open(self) -> BinaryIO:
        """A seekable stream at the first byte, which the caller closes."""
        ...


@dataclass(frozen=True, slots=True)
class FileContent:
    """The bytes of a file, as they are when they are read."""

    path: Path

    @property
    def size(self) -> int:
        return self.path.stat().st_size

    def open(self) -> BinaryIO:
        return self.path.open("rb")


@dataclass(frozen=True, slots=True)
class BytesContent:
    """Bytes in memory."""

    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)

    def open(self) -> BinaryIO:
        return BytesIO(self.data)


AnyContent = Content | bytes | Path
"""What callers may give: a path stands for its file."""


def content_of(given: AnyContent) -> Content:
    """The content that ``given`` stands for."""
    match given:
        case bytes():
            return BytesContent(given)
        case Path():
            return FileContent(given)
        case _:
            return given


class Hasher:
    """Both hashes and the size of bytes that come piece by piece."""

    def __init__(self) -> None:
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha256 = hashlib.sha256()
        self.size = 0

    def update(self, data: bytes | bytearray | memoryview) -> None:
        self._md5.update(data)
        self._sha256.update(data)
        self.size += len(data)

    def digest(self) -> Digest:
        """Of all that came so far."""
        return Digest(self._md5.hexdigest(), self._sha256.hexdigest(), self.size)


def digest_of(source: Content | BinaryIO) -> Digest:
    """Read ``source`` to its end, a block at a time; a stream from where it stands.

    It blocks: call it in a thread.
    """
    if not hasattr(source, "read"):
        with source.open() as stream:
            return digest_of(stream)
    hasher = Hasher()
    while block := source.read(BLOCK):
        hasher.update(block)
    return hasher.digest()
