"""What is on the disk."""

import hashlib
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO, Final

from syncapi.client.folder.states import LocalFile, Scan, SkipKind, Skipped

_GRAIN: Final = 2 * 10**9
"""In ns: the coarsest clock of a file system in use (FAT)."""

_LINK: Final = "Symbolic links are not followed: what they lead to may be anywhere."
_SPECIAL: Final = "It is neither a file nor a folder."
_UNDECODABLE: Final = "Its name is not UTF-8. Rename it."


def hashes(stream: BinaryIO) -> tuple[str, str]:
    """SHA-256 and MD5 of what follows in a stream, in hex."""
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    while block := stream.read(1 << 20):
        sha256.update(block)
        md5.update(block)
    return sha256.hexdigest(), md5.hexdigest()


def scan(
    root: Path,
    known: Mapping[str, LocalFile],
    ignored: Callable[[str, bool], str | None],
    *,
    hash_of: Callable[[BinaryIO], tuple[str, str]] = hashes,
) -> Scan:
    """Look at every file below ``root``, hashing only what differs from ``known``.

    Args:
        root: the folder; it must be there.
        known: by path, what the last scan found (`Scan.files`).
        ignored: told a path and whether it is a folder; why it is left out, else None.
        hash_of: SHA-256 and MD5 of an open file.

    Raises:
        OSError: the root cannot be read.
    """
    scanner = _Scanner(root, known, ignored, hash_of)
    scanner.look_into("")
    return Scan(
        tuple(sorted(scanner.files, key=_path)),
        tuple(sorted(scanner.folders)),
        tuple(sorted(scanner.skipped, key=_path)),
    )


def seen(place: Path, path: str, sha256: str, md5: str | None) -> LocalFile:
    """A file whose bytes are known without reading it, since they were just written.

    Raises:
        OSError: it is not there.
    """
    return _file(path, place.lstat(), sha256, md5, time.time_ns())


class _Scanner:
    def __init__(
        self,
        root: Path,
        known: Mapping[str, LocalFile],
        ignored: Callable[[str, bool], str | None],
        hash_of: Callable[[BinaryIO], tuple[str, str]],
    ) -> None:
        self._root = os.fspath(root)
        self._known = known
        self._ignored = ignored
        self._hash_of = hash_of
        self.files: list[LocalFile] = []
        self.folders: list[str] = []
        self.skipped: list[Skipped] = []

    def look_into(self, folder: str) -> None:
        """Look at all that is in a folder and below it; ``''`` is the root."""
        waiting = [folder]
        while waiting:
            here = waiting.pop()
            try:
                with os.scandir(os.path.join(self._root, here)) as entries:  # noqa: PTH118 - for speed
                    found = list(entries)
            except OSError as error:
                if not here:
                    raise
                self._skip(here, "unreadable", error.strerror or str(error))
                continue
            if here:
                self.folders.append(here)
            prefix = f"{here}/" if here else ""
            waiting += [path for entry in found if (path := self._look_at(prefix, entry))]

    def _look_at(self, prefix: str, entry: os.DirEntry[str]) -> str | None:
        """Take an entry in; return its path if it is a folder to look into."""
        path = prefix + entry.name
        try:
            entry.name.encode()
        except UnicodeEncodeError:
            self._skip(os.fsencode(path).decode(errors="replace"), "undecodable", _UNDECODABLE)
            return None
        is_folder = entry.is_dir(follow_symlinks=False)
        why = self._ignored(path, is_folder)
        if why is not None:
            self._skip(path, "ignored", why)
        elif is_folder:
            return path
        elif entry.is_file(follow_symlinks=False):
            self._take(path, entry)
        else:
            is_link = entry.is_symlink()
            self._skip(path, "symlink" if is_link else "special", _LINK if is_link else _SPECIAL)
        return None

    def _take(self, path: str, entry: os.DirEntry[str]) -> None:
        try:
            status = entry.stat(follow_symlinks=False)
            before = self._known.get(path)
            if before is not None and _is_unchanged(before, status):
                self.files.append(before)
            else:
                self._hash(path, entry.path)
        except FileNotFoundError:
            return  # it has gone since the folder was read
        except OSError as error:
            self._skip(path, "unreadable", error.strerror or str(error))

    def _hash(self, path: str, place: str) -> None:
        began = time.time_ns()
        descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as stream:
            before = os.fstat(descriptor)
            sha256, md5 = self._hash_of(stream)
            after = os.fstat(descriptor)
        if _stamp(before) != _stamp(after):
            self._skip(path, "busy", "It was written to while it was read.")
        else:
            self.files.append(_file(path, after, sha256, md5, began))

    def _skip(self, path: str, kind: SkipKind, why: str) -> None:
        self.skipped.append(Skipped(path, kind, why))


def _is_unchanged(before: LocalFile, status: os.stat_result) -> bool:
    """Whether the bytes are surely those that were hashed.

    A write within the grain of the clock leaves the time as it is. So a file that was hashed right
    after it was written is hashed again (git calls such an entry "racily clean").
    """
    now = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    then = (before.size, before.mtime_ns, before.ctime_ns, before.inode)
    return now == then and before.mtime_ns < before.hashed_ns - _GRAIN


def _file(
    path: str, status: os.stat_result, sha256: str, md5: str | None, hashed_ns: int
) -> LocalFile:
    return LocalFile(
        path=path,
        size=status.st_size,
        sha256=sha256,
        md5=md5,
        inode=status.st_ino,
        mtime_ns=status.st_mtime_ns,
        ctime_ns=status.st_ctime_ns,
        birth_ns=getattr(status, "st_birthtime_ns", None),
        hashed_ns=hashed_ns,
    )


def _stamp(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _path(found: LocalFile | Skipped) -> str:
    return found.path
