"""What is on the disk."""

import hashlib
import os
import stat
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, Final

from syncapi.client.folder.disk.birth_time import birth_ns
from syncapi.client.folder.model import LocalFile, Scan, SkipKind, Skipped

_GRAIN: Final = 2 * 10**9
"""In ns: the coarsest clock of a file system in use (FAT)."""

_SETTLED: Final = 40 * 10**9
"""In ns: how long a file that is written to by mmap(2) may change without a new time.

It gets one when a clean page is first written to, and none while the page is dirty. Linux writes
dirty pages back, and so cleans them, 30 s after the first write; it looks every 5 s
(``dirty_expire_centisecs``, ``dirty_writeback_centisecs``).
"""

_ATTEMPTS: Final = 3
_OPEN: Final = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)  # a link that took the file's place
    | getattr(os, "O_NONBLOCK", 0)  # a pipe that did
    | getattr(os, "O_BINARY", 0)
)

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

    A file that is moved meanwhile, from a folder still to be read into one that has been, would
    be seen in neither and pass for deleted; the other way round it would be seen twice and pass
    for copied. So a scan in which folders changed is repeated, three times at most. Where they
    change all the time, what the last two disagree on is not concluded.

    Args:
        root: the folder; it must be there.
        known: by path, what the last scan found (`Scan.files`).
        ignored: takes a path and whether it is a folder; returns why it is left out, or None.
        hash_of: SHA-256 and MD5 of an open file.

    Raises:
        OSError: the root cannot be read.
    """
    scanner = _Scanner(root, known, ignored, hash_of)
    scanner.look_into_all()
    before = scanner
    for _ in range(_ATTEMPTS - 1):
        if not scanner.has_moved_on():
            break
        before = scanner
        scanner = _Scanner(
            root, known, ignored, hash_of, {file.path: file for file in before.files}
        )
        scanner.look_into_all()
    else:
        if scanner.has_moved_on():
            scanner.conclude_nothing_of_moved(before.files, known.values())
    return Scan(
        tuple(sorted(scanner.files, key=_path)),
        tuple(sorted(scanner.folders)),
        tuple(sorted(scanner.skipped, key=_path)),
    )


def seen(
    place: Path, path: str, sha256: str, md5: str | None, *, written_ns: int | None = None
) -> LocalFile:
    """A file whose bytes are known without reading it, since they were just written.

    Args:
        place: where it is.
        path: the same, relative to the root.
        sha256: hex.
        md5: hex.
        written_ns: the time that was given to it. If that is a while ago and the file has it
            still, it was not written to since, and cannot be without getting another time: it
            need not be hashed again to be sure.

    Raises:
        OSError: it is not there.
    """
    status, now = place.lstat(), time.time_ns()
    if status.st_mtime_ns == written_ns and written_ns < now - _GRAIN:
        now = max(now, status.st_ctime_ns + _SETTLED + 1)
    return _file(path, os.fspath(place), status, (sha256, md5, now))


class _Scanner:
    def __init__(
        self,
        root: Path,
        known: Mapping[str, LocalFile],
        ignored: Callable[[str, bool], str | None],
        hash_of: Callable[[BinaryIO], tuple[str, str]],
        just_seen: Mapping[str, LocalFile] = MappingProxyType({}),
    ) -> None:
        self._root = os.fspath(root)
        self._known = known
        self._just_seen = just_seen
        self._ignored = ignored
        self._hash_of = hash_of
        self._stamps: dict[str, int] = {}
        self.files: list[LocalFile] = []
        self.folders: list[str] = []
        self.skipped: list[Skipped] = []

    def look_into_all(self) -> None:
        """Look at all that is in the root and below it."""
        waiting = [""]
        while waiting:
            folder = waiting.pop()
            place = self._place(folder)
            try:
                self._stamps[folder] = os.lstat(place).st_mtime_ns
                with os.scandir(place) as entries:
                    found = list(entries)
            except OSError as error:
                if not folder:
                    raise
                self._skip(folder, "unreadable", error.strerror or str(error))
                continue
            if folder:
                self.folders.append(folder)
            prefix = f"{folder}/" if folder else ""
            waiting += [path for entry in found if (path := self._look_at(prefix, entry))]

    def has_moved_on(self) -> bool:
        """Whether names were made, changed or removed in a folder since it was read."""
        return any(self._moved_on(folder, stamp) for folder, stamp in self._stamps.items())

    def conclude_nothing_of_moved(
        self, before: Iterable[LocalFile], known: Iterable[LocalFile]
    ) -> None:
        """Take what moved while the folders were read neither for deleted nor for copied.

        Args:
            before: what was seen a moment ago. What is missing since may be anywhere.
            known: what was there at the last sync, maybe under another name.
        """
        found = Counter(file.inode for file in self.files)
        self.files = [f for f in self.files if found[f.inode] == 1 or self._is_there(f)]
        vanished = {file.inode for file in before} - found.keys()
        paths = {f.path for f in (*before, *known) if f.inode in vanished}
        for path in paths - {file.path for file in self.files}:
            self._skip(path, "busy", "It moved while the folder was looked at.")

    def _is_there(self, file: LocalFile) -> bool:
        try:
            return os.lstat(self._place(file.path)).st_ino == file.inode
        except OSError:
            return False

    def _moved_on(self, folder: str, stamp: int) -> bool:
        try:
            return os.lstat(self._place(folder)).st_mtime_ns != stamp
        except OSError:
            return True

    def _place(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root

    def _look_at(self, prefix: str, entry: os.DirEntry[str]) -> str | None:
        """Take an entry in; return its path if it is a folder to look into."""
        path = prefix + entry.name
        if not entry.name.isascii() and not _is_text(entry.name):
            self._skip(os.fsencode(path).decode(errors="replace"), "undecodable", _UNDECODABLE)
            return None
        try:
            return self._look_at_known(path, entry)
        except FileNotFoundError:
            self._skip(path, "busy", "It has gone since its folder was read.")
        except OSError as error:
            self._skip(path, "unreadable", error.strerror or str(error))
        return None

    def _look_at_known(self, path: str, entry: os.DirEntry[str]) -> str | None:
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
        status = entry.stat(follow_symlinks=False)
        just, before = self._just_seen.get(path), self._known.get(path)
        if just is not None and _has_stamps(just, status):
            self.files.append(just)  # the next scan hashes it again, if it is to be
        elif before is not None and _has_stamps(before, status) and _is_settled(before):
            self.files.append(before)
        else:
            self._hash(path, entry.path)

    def _hash(self, path: str, place: str) -> None:
        began = time.time_ns()
        with os.fdopen(os.open(place, _OPEN), "rb") as stream:
            before = os.fstat(stream.fileno())
            if not stat.S_ISREG(before.st_mode):
                self._skip(path, "special", _SPECIAL)
                return
            sha256, md5 = self._hash_of(stream)
            after = os.fstat(stream.fileno())
        if _stamp(before) != _stamp(after):
            self._skip(path, "busy", "It was written to while it was read.")
        else:
            self.files.append(_file(path, place, after, (sha256, md5, began)))

    def _skip(self, path: str, kind: SkipKind, why: str) -> None:
        self.skipped.append(Skipped(path, kind, why))


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _has_stamps(before: LocalFile, status: os.stat_result) -> bool:
    """Whether a file has the times, the size and the inode that it had."""
    return (
        before.mtime_ns == status.st_mtime_ns
        and before.size == status.st_size
        and before.inode == status.st_ino
        and before.ctime_ns == status.st_ctime_ns
    )


def _is_settled(file: LocalFile) -> bool:
    """Whether a file with the same stamps has surely the bytes that were hashed.

    A write within the grain of the clock leaves the times as they are, and so does one through a
    page that is dirty already. So a file that was hashed shortly after it was written is hashed
    again (git calls such an entry "racily clean"). When it was written is the later of its
    times, but not by one that a program has set into the future.
    """
    is_made_up = file.mtime_ns > file.hashed_ns
    written_ns = file.ctime_ns if is_made_up else max(file.mtime_ns, file.ctime_ns)
    return written_ns < file.hashed_ns - _SETTLED


def _file(
    path: str, place: str, status: os.stat_result, hashed: tuple[str, str | None, int]
) -> LocalFile:
    sha256, md5, hashed_ns = hashed
    return LocalFile(
        path=path,
        size=status.st_size,
        sha256=sha256,
        md5=md5,
        inode=status.st_ino,
        mtime_ns=status.st_mtime_ns,
        ctime_ns=status.st_ctime_ns,
        birth_ns=birth_ns(place, status),
        hashed_ns=hashed_ns,
    )


def _stamp(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _path(found: LocalFile | Skipped) -> str:
    return found.path
