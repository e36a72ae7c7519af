"""Blobs that are sealed: nothing of their content touches the disk, finished or not."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from syncapi.client import durable
from syncapi.client.store.envelope import DataKey
from syncapi.client.store.formats import BlobSink
from syncapi.client.store.sealed_records import name_of
from syncapi.client.store.streams import (
    SealedReader,
    Sealer,
    content_size,
    mark_of,
    open_sealed,
    salvage,
)
from syncapi.client.transfer.sinks import PartFile


class SealedFormat:
    """Streams sealed with one data key, under names that only it can tell."""

    def __init__(self, data: DataKey) -> None:
        self._data = data

    def name(self, sha256: str) -> str:
        return name_of(self._data, sha256)

    def owns(self, path: Path) -> bool:
        mark = mark_of(self._data)
        try:
            with path.open("rb") as file:
                return file.read(len(mark)) == mark
        except FileNotFoundError:  # another process has removed it meanwhile
            return False

    def digest(self, path: Path) -> str:
        with SealedReader(path.open("rb"), self._data) as reader:
            return reader.sha256

    def open(self, path: Path, sha256: str) -> BinaryIO:
        return open_sealed(path, self._data, sha256)

    def sink(self, target: Path, sha256: str, part: Path) -> BlobSink:
        return _SealedSink(target, self._data, sha256, part)


class _SealedSink:
    """A temporary file of sealed chunks.

    What an earlier attempt has left is sealed anew before anything is added. The chunk that it was
    writing may be on some disk already, and another one must never get the same nonce.
    """

    def __init__(self, target: Path, data: DataKey, sha256: str, part: Path) -> None:
        self._target = target
        self._data = data
        self._sha256 = sha256
        self._part = PartFile(part)
        self._sealer: Sealer | None = None
        self._is_ended = False

    def held(self) -> int:
        return self._sealer.size if self._sealer else content_size(self._part.held())

    def read_held(self) -> Iterator[bytes]:
        sealer = self._resumed()
        yield from salvage(self._part.part, self._data, self._sha256)
        yield sealer.unsealed

    def write(self, data: bytes) -> None:
        if sealed := self._resumed().update(data):
            self._part.write(sealed)

    def restart(self) -> None:
        self._sealer = self._begun(self._part)
        self._is_ended = False

    def finish(self) -> None:
        sealer = self._resumed()
        if not self._is_ended:
            self._part.write(sealer.end())
            self._is_ended = True
        self._part.finish()

    def discard(self) -> None:
        self._part.discard()
        self._sealer = None

    def place(self) -> None:
        self.finish()
        self._part.place(self._target)

    def _begun(self, part: PartFile) -> Sealer:
        sealer = Sealer(self._data, self._sha256)
        part.restart()
        part.write(sealer.beginning)
        return sealer

    def _resumed(self) -> Sealer:
        if self._sealer is None:
            anew = PartFile(self._part.part.with_name(f"{self._part.part.name}.new"))
            self._sealer = self._begun(anew)
            if self._part.held():
                for chunk in salvage(self._part.part, self._data, self._sha256):
                    anew.write(self._sealer.update(chunk))
            durable.replace(anew.part, self._part.part)
        return self._sealer
