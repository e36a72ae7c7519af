"""Contents by their SHA-256: equal bytes are kept once."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from syncapi.client import durable
from syncapi.client.errors import SourceChanged, StoreDamaged
from syncapi.client.store.database import WAY_OUT
from syncapi.domain.content import Digest

_BLOCK = 1024 * 1024  # bytes in memory at a time
_PART = ".part"


class Readable(Protocol):
    """Bytes that can be read again and again."""

    def open(self) -> BinaryIO: ...


@dataclass(frozen=True, slots=True)
class BlobContent:
    """The bytes of a blob."""

    path: Path
    size: int

    def open(self) -> BinaryIO:
        """Open for reading, seekable.

        Raises:
            StoreDamaged: the file is gone, or has another size.
        """
        try:
            stream = self.path.open("rb")
        except FileNotFoundError as error:
            raise StoreDamaged(f"{self.path} is gone.", hint=WAY_OUT) from error
        size = os.fstat(stream.fileno()).st_size
        if size != self.size:
            stream.close()
            raise StoreDamaged(
                f"{self.path} has {size} bytes instead of {self.size}.", hint=WAY_OUT
            )
        return stream


class BlobSink:
    """Where a download goes: a temporary file in the folder of the blobs, kept over a crash."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._part = target.with_name(target.name + _PART)
        self._stream = self._part.open("ab")

    def held(self) -> int:
        """How many bytes are kept of this attempt and earlier ones."""
        return self._stream.tell()

    def read_held(self) -> Iterator[bytes]:
        self._stream.flush()
        with self._part.open("rb") as stream:
            yield from iter(lambda: stream.read(_BLOCK), b"")

    def write(self, data: bytes) -> None:
        self._stream.write(data)

    def restart(self) -> None:
        """Forget what is held."""
        self._stream.seek(0)
        self._stream.truncate()

    def finish(self) -> None:
        """Have the bytes on the disk when this returns."""
        if not self._stream.closed:
            self._stream.flush()
            durable.sync_file(self._stream.fileno())
            self._stream.close()

    def discard(self) -> None:
        """Give up, and keep nothing."""
        self._stream.close()
        durable.remove(self._part)

    def place(self) -> None:
        """Make it the blob. The caller has verified what it wrote."""
        self.finish()
        durable.replace(self._part, self._target)


class Blobs:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def has(self, sha256: str) -> bool:
        return self._path(sha256).exists()

    def content(self, sha256: str, size: int) -> BlobContent:
        return BlobContent(self._path(sha256), size)

    def sink(self, sha256: str) -> BlobSink:
        """Where to write the bytes of that hash; it goes on where an earlier attempt ended."""
        return BlobSink(self._path(sha256))

    def add(self, content: Readable) -> Digest:
        """Keep a copy; equal bytes are kept once.

        Raises:
            SourceChanged: it had other bytes when it was read a second time.
        """
        digest = _copy(content, None)
        if not self.has(digest.sha256_hash):
            sink = self.sink(digest.sha256_hash)
            sink.restart()
            if _copy(content, sink) != digest:
                sink.discard()
                raise SourceChanged("The file changed while it was read.", hint="Try again.")
            sink.place()
        return digest

    def remove(self, sha256: str) -> None:
        """Take a blob away; one that is not there is fine."""
        durable.remove(self._path(sha256))

    def digests(self) -> Iterator[str]:
        """The SHA-256 of every blob."""
        return (path.name for path in self._folder.iterdir() if path.suffix != _PART)

    def keep_only(self, wanted: set[str]) -> None:
        """Remove all blobs but these, and what unfinished downloads of others have left."""
        names = {self._path(sha256).name for sha256 in wanted}
        for path in self._folder.iterdir():
            if path.name.removesuffix(_PART) not in names:
                durable.remove(path)

    def _path(self, sha256: str) -> Path:
        return self._folder / sha256


def _copy(content: Readable, sink: BlobSink | None) -> Digest:
    """Read all bytes, write them where there is a sink, and digest them."""
    sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    with content.open() as stream:
        while block := stream.read(_BLOCK):
            sha256.update(block)
            md5.update(block)
            size += len(block)
            if sink is not None:
                sink.write(block)
    return Digest(md5.hexdigest(), sha256.hexdigest(), size)
