"""Where downloads go: places that keep what has arrived until the rest does."""

import os
import re
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final, Protocol, Self

from syncapi.client import durable
from syncapi.client.transfer.contents import BLOCK

PART_PREFIX: Final = durable.UNDER_WAY
"""Of the names of files that are not whole yet."""

_PLAIN_KEY: Final = re.compile(r"[0-9A-Za-z._-]{1,200}")  # a file system takes names of 255 bytes


class Sink(Protocol):
    """Takes bytes in order. Its methods block, and are called by one thread at a time."""

    def held(self) -> int:
        """Bytes that are kept of an earlier attempt."""
        ...

    def read_held(self) -> Iterator[bytes]:
        """Those bytes, block by block, to hash them again."""
        ...

    def write(self, data: bytes) -> None:
        """Put bytes behind what is held."""
        ...

    def restart(self) -> None:
        """Forget what is held."""
        ...

    def finish(self) -> None:
        """Have all of it on the disk when this returns; placing it is the caller's."""
        ...

    def discard(self) -> None:
        """Forget what is held, and leave no trace."""
        ...


class PartFile:
    """A temporary file, which is renamed once it is whole.

    It is opened anew for each block, so that nothing stays open however a download ends. It is
    created once only: if another program removes it, the next block raises `FileNotFoundError`,
    while a new file would hold only the end of the bytes.
    """

    def __init__(self, part: Path) -> None:
        self.part = part
        self._is_begun = False

    @classmethod
    def beside(cls, target: Path, key: str) -> Self:
        """The part of ``target``, in the same folder and so on the same file system.

        Args:
            target: the path that it gets when it is whole.
            key: identifies the content, such as its SHA-256: only an attempt with the same key
                continues the part. A key that is no plain name is replaced by its hash in the
                path.
        """
        if not _PLAIN_KEY.fullmatch(key):
            key = sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
        return cls(target.with_name(f"{PART_PREFIX}{key}"))

    def held(self) -> int:
        try:
            return self.part.stat(follow_symlinks=False).st_size
        except FileNotFoundError:
            return 0

    def read_held(self) -> Iterator[bytes]:
        if not self.held():
            return
        self._is_begun = True
        with os.fdopen(os.open(self.part, os.O_RDONLY | os.O_NOFOLLOW), "rb") as stream:
            while block := stream.read(BLOCK):
                yield block

    def write(self, data: bytes) -> None:
        with os.fdopen(self._open(os.O_APPEND), "ab") as stream:
            stream.write(data)

    def restart(self) -> None:
        self._is_begun = False
        os.close(self._open(os.O_TRUNC))

    def finish(self) -> None:
        descriptor = self._open(0)
        try:
            durable.sync_file(descriptor)
        finally:
            os.close(descriptor)

    def discard(self) -> None:
        self._is_begun = False
        self.part.unlink(missing_ok=True)

    def place(self, target: Path) -> None:
        """Give the finished file its name, in place of whatever had it."""
        durable.replace(self.part, target)

    def _open(self, how: int) -> int:
        # The name is predictable: a link that another program put there must not be followed.
        how |= os.O_WRONLY | os.O_NOFOLLOW | (0 if self._is_begun else os.O_CREAT)
        descriptor = os.open(self.part, how, 0o666)
        self._is_begun = True
        return descriptor
