"""Contents by their SHA-256: equal bytes are kept once."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from filelock import FileLock, Timeout

from syncapi.client import durable
from syncapi.client.errors import InvalidDigest, SourceChanged, StoreDamaged
from syncapi.client.store.database import WAY_OUT
from syncapi.client.store.formats import BlobFormat, BlobSink, Place
from syncapi.client.transfer.contents import BLOCK, Content, Hasher, digest_of
from syncapi.protocol.content import Digest, is_sha256

PART = ".part"
"""Ends the names of what is not whole yet."""

_ADDING = ".add"
"""In the names of copies under way, beside a download of the same bytes."""

AT_ONCE: Final = 256
"""Blobs that are tidied away while the copying in of contents waits."""

_POLL: Final = 0.005  # seconds between two looks at the lock
_BREATH: Final = 4 * _POLL  # in which others get it


@dataclass(frozen=True, slots=True)
class BlobContent:
    """The bytes of a blob; a `Content`.

    Attributes:
        places: where they may be: there are two while a key is rotated.
    """

    sha256: str
    size: int
    places: tuple[Place, ...]

    def open(self) -> BinaryIO:
        """A seekable stream at the first byte, which the caller closes.

        Raises:
            StoreDamaged: the blob is gone or is not of that size. If it is encrypted, then also
                while it is read, where it was changed.
        """
        for path, form in self.places:
            with suppress(FileNotFoundError):
                return self._verified(form.open(path, self.sha256), path)
        raise StoreDamaged(f"{self.places[0][0]} is gone.", hint=WAY_OUT)

    def _verified(self, stream: BinaryIO, path: Path) -> BinaryIO:
        size = stream.seek(0, os.SEEK_END)
        if size != self.size:
            stream.close()
            raise StoreDamaged(
                f"{path} is damaged: {size} bytes instead of {self.size}.", hint=WAY_OUT
            )
        stream.seek(0)
        return stream


class Blobs:
    """A folder of blobs.

    Hashes come from the server, too. What is no SHA-256 never becomes a path: nothing is held
    under it, and nothing can be written to it (`InvalidDigest`).

    Args:
        forms: How new ones are written; then how older ones still are, while a key is rotated.
    """

    def __init__(self, folder: Path, forms: Sequence[BlobFormat]) -> None:
        self._folder = folder
        self._adding = folder.with_name("adding.lock")
        self.forms = forms

    def has(self, sha256: str) -> bool:
        return is_sha256(sha256) and any(path.exists() for path, _ in self._places(sha256))

    def content(self, sha256: str, size: int) -> BlobContent:
        """The bytes of that hash; they are looked for when they are opened."""
        return BlobContent(sha256, size, self._places(sha256))

    def sink(self, sha256: str) -> BlobSink:
        """Where to write the bytes of that hash; one writer at a time."""
        return self._sink(sha256, PART)

    def _sink(self, sha256: str, ending: str) -> BlobSink:
        path, form = self._places(sha256)[0]
        return form.sink(path, sha256, path.with_name(path.name + ending))

    @contextmanager
    def adding(self, content: Content) -> Iterator[Digest]:
        """Keep a copy; equal bytes are kept once. Nothing is tidied away before the block ends.

        One at a time, also by several processes: what is found half-made while the lock is free
        was left by a crash.

        Raises:
            SourceChanged: it had other bytes when it was read a second time.
        """
        digest = digest_of(content)
        with FileLock(self._adding, poll_interval=_POLL, mode=0o600):
            if not self.has(digest.sha256_hash):
                self._remove_left()
                self._copy_in(content, digest)
            yield digest

    def _copy_in(self, content: Content, digest: Digest) -> None:
        sink = self._sink(digest.sha256_hash, f"{_ADDING}{PART}")
        with content.open() as stream:
            copied = _copy(stream, sink)
        if copied != digest:
            sink.discard()
            raise SourceChanged("The content changed while it was read.", hint="Try again.")
        sink.place()

    def remove(self, sha256: str) -> None:
        """Take a blob away; one that is not there is fine."""
        for path, _ in self._places(sha256):
            durable.remove(path)

    def digests(self) -> Iterator[str]:
        """The SHA-256 of every blob."""
        return (form.digest(path) for path, form in self._owned())

    def tidy(self, kept: set[str], needed: Callable[[], set[str]]) -> bool:
        """Remove all blobs but those, and what unfinished copies and downloads of others left.

        It is done some hundred at a time, and nothing but the copying in of contents waits for it.

        Args:
            kept: SHA-256 of what stays, however long this takes.
            needed: what stays beside them, asked before each removal: it may have come to be
                needed a moment ago.

        Returns:
            Whether all is done. Nothing is removed while a content is copied in.
        """
        names = self._names(kept)
        found = [path for path, _ in self._owned()] + self._parts()
        left = [path for path in found if _stem(path) not in names and _ADDING not in path.name]
        try:
            for start in range(0, max(1, len(left)), AT_ONCE):
                if start:
                    time.sleep(_BREATH)
                self._remove_unless(left[start : start + AT_ONCE], needed)
        except Timeout:
            return False
        finally:
            durable.sync_folder(self._folder)
        return True

    def _remove_unless(self, paths: Sequence[Path], needed: Callable[[], set[str]]) -> None:
        with FileLock(self._adding, timeout=0, mode=0o600):
            self._remove_left()
            names = self._names(needed())
            for path in paths:
                if _stem(path) not in names:
                    durable.remove(path, is_lasting=False)

    def _names(self, contents: set[str]) -> set[str]:
        hashes = filter(is_sha256, contents)
        return {path.name for sha256 in hashes for path, _ in self._places(sha256)}

    def _remove_left(self) -> None:
        """Remove unfinished copies. The caller has the lock, and is making none."""
        for part in self._parts():
            if _ADDING in part.name:
                durable.remove(part)

    def move(self) -> None:
        """Write every blob of an older form in the new one; what is done already is done.

        A damaged one is left as it is, for `check` to tell: it must not hold up the others.
        """
        for path, form in list(self._owned()):
            if form is not self.forms[0]:
                with suppress(StoreDamaged):
                    self._move(path, form)
        with FileLock(self._adding, mode=0o600):
            for part in self._parts():
                durable.remove(part)

    def _move(self, path: Path, form: BlobFormat) -> None:
        sha256 = form.digest(path)
        sink = self.sink(sha256)
        with form.open(path, sha256) as stream:
            _copy(stream, sink)
        sink.place()
        durable.remove(path)

    def check(self) -> Iterator[str]:
        """What is wrong, a sentence each: every blob is read."""
        owned = dict(self._owned())
        for path in sorted(set(self._folder.iterdir()) - set(self._parts())):
            if path not in owned:
                yield f"{path} is no blob of this store."
                continue
            try:
                is_right = _is_right(path, owned[path])
            except StoreDamaged as error:
                yield error.message
            else:
                if not is_right:
                    yield f"{path} is damaged: its bytes are not those of its name."

    def _places(self, sha256: str) -> tuple[Place, ...]:
        if not is_sha256(sha256):
            raise InvalidDigest("This is no SHA-256, so that no content can be held under it.")
        return tuple((self._folder / form.name(sha256), form) for form in self.forms)

    def _owned(self) -> Iterator[Place]:
        for path in self._folder.iterdir():
            for form in self.forms:
                if PART not in path.name and form.owns(path):
                    yield path, form

    def _parts(self) -> list[Path]:
        return [path for path in self._folder.iterdir() if PART in path.name]


def _stem(path: Path) -> str:
    """The name of the blob that a file is, or is to become."""
    return path.name.partition(".")[0]


def _is_right(path: Path, form: BlobFormat) -> bool:
    with suppress(FileNotFoundError):  # it was removed meanwhile
        sha256 = form.digest(path)
        with form.open(path, sha256) as stream:
            found = digest_of(stream).sha256_hash
        return found == sha256 and form.name(sha256) == path.name
    return True


def _copy(stream: BinaryIO, sink: BlobSink) -> Digest:
    """Write all bytes; return the digest of what was written."""
    sink.restart()
    hasher = Hasher()
    while block := stream.read(BLOCK):
        sink.write(block)
        hasher.update(block)
    return hasher.digest()
