"""How blobs are written: under which names, and as which bytes."""

from pathlib import Path
from typing import BinaryIO, Protocol

from typing_extensions import override

from syncapi.client.transfer.sinks import PartFile, Sink
from syncapi.protocol.content import is_sha256


class BlobSink(Sink, Protocol):
    """Where the bytes of a blob go; what was written survives a crash and is gone on with."""

    def place(self) -> None:
        """Have the bytes on the disk and make them the blob. The caller has verified them."""
        ...


class BlobFormat(Protocol):
    """How blobs are written. All paths are in the folder of the blobs."""

    def name(self, sha256: str) -> str: ...

    def owns(self, path: Path) -> bool:
        """Whether it looks like a blob of this format and key."""
        ...

    def digest(self, path: Path) -> str:
        """The SHA-256 that such a blob stands for; StoreDamaged if it cannot be read."""
        ...

    def open(self, path: Path, sha256: str) -> BinaryIO:
        """The bytes, seekable; StoreDamaged if they are not those, now or while it is read."""
        ...

    def sink(self, target: Path, sha256: str, part: Path) -> BlobSink:
        """Write to ``part``, which becomes ``target``."""
        ...


class PlainFormat:
    """The bytes as they are, named by their hash."""

    def name(self, sha256: str) -> str:
        return sha256

    def owns(self, path: Path) -> bool:
        return is_sha256(path.name)

    def digest(self, path: Path) -> str:
        return path.name

    def open(self, path: Path, sha256: str) -> BinaryIO:  # noqa: ARG002 - a BlobFormat
        return path.open("rb")

    def sink(self, target: Path, sha256: str, part: Path) -> BlobSink:  # noqa: ARG002 - a BlobFormat
        return _PlainSink(target, part)


Place = tuple[Path, BlobFormat]
"""A file, and how it is written."""


class _PlainSink(PartFile):
    def __init__(self, target: Path, part: Path) -> None:
        super().__init__(part)
        self._target = target

    @override
    def place(self, target: Path | None = None) -> None:
        self.finish()
        super().place(target or self._target)
