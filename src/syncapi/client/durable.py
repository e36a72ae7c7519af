"""The few ways in which files are written, so that a crash leaves the old or the new, never half.

Every change of the disk that must survive goes through here. After a rename the folder is synced
too: without it the name may be lost with the power (POSIX says nothing; ext4 and XFS do so).
"""

import ctypes
import errno
import functools
import os
import secrets
import sys
from pathlib import Path
from typing import Final

_HERE: Final = -100  # AT_FDCWD: paths are taken from the working directory
_NO_REPLACE: Final = 1  # RENAME_NOREPLACE
_EXCHANGE: Final = 2  # RENAME_EXCHANGE
_UNKNOWN: Final = frozenset((errno.ENOSYS, errno.EINVAL))  # to the system, or the file system
_NO_LINKS: Final = frozenset(
    (errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL, errno.EMLINK)
)
"""What file systems answer that have no second names."""

UNDER_WAY: Final = ".~syncapi-"
"""Begins the names of files that are not whole yet, or under way to another name."""


def sync_file(descriptor: int) -> None:
    """Have the bytes of an open file on the disk when this returns."""
    os.fsync(descriptor)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk when this returns."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make a folder for its owner alone, and those above it that are missing; all of them last."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    sync_folder(folder.parent)


def replace(source: Path, target: Path) -> None:
    """Give a file its name, in place of whatever had it. Both are on one file system."""
    source.replace(target)
    sync_folder(target.parent)
    if source.parent != target.parent:
        sync_folder(source.parent)


def remove(path: Path, *, is_lasting: bool = True) -> None:
    """Take a file away; one that is gone already is fine.

    Args:
        path: the file.
        is_lasting: whether no power cut brings it back once this returns; if not, `sync_folder`
            makes it so, of many files at once.
    """
    path.unlink(missing_ok=True)
    if is_lasting:
        sync_folder(path.parent)


def write_text(target: Path, text: str, *, mode: int = 0o600) -> None:
    """Write a small file whole or not at all."""
    temporary = target.with_name(f".{target.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        sync_file(stream.fileno())
    replace(temporary, target)


def move(source: Path, target: Path, *, is_lasting: bool = True) -> None:
    """Give a file another name that nothing has.

    Args:
        source: on the same file system.
        target: the new name.
        is_lasting: whether the name is on the disk when this returns; if not, `sync_folder` of
            both folders makes it so, of many files at once.

    Raises:
        FileExistsError: something has the name; nothing was done.
    """
    _rename_exclusively(source, target)
    if not is_lasting:
        return
    sync_folder(target.parent)
    if source.parent != target.parent:
        sync_folder(source.parent)


def exchange(one: Path, other: Path) -> bool:
    """Have two files have each other's names, at once: neither name is free in between.

    Returns:
        False where the system or the file system cannot; nothing was done then.
    """
    number = _renamed(one, other, _EXCHANGE) if sys.platform == "linux" else errno.ENOSYS
    if number in _UNKNOWN:
        return False
    if number:
        raise OSError(number, os.strerror(number), str(one), None, str(other))
    for folder in {one.parent, other.parent}:
        sync_folder(folder)
    return True


def _rename_exclusively(source: Path, target: Path) -> None:
    """Rename without ever taking the place of a file.

    Plain ``rename`` replaces on POSIX. Linux can refuse instead (renameat2(2)), and Windows always
    does. Where neither the system nor the file system can, as on NFS, the file gets a second name.
    """
    if sys.platform == "linux":
        number = _renamed(source, target, _NO_REPLACE)
        if number == 0:
            return
        if number not in _UNKNOWN:
            raise OSError(number, os.strerror(number), str(source), None, str(target))
    if os.name == "nt":
        source.rename(target)
        return
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _rename_over_placeholder(source, target)
    else:
        _drop_name(source, target)


def _drop_name(name: Path, other: Path) -> None:
    """Take one of a file's two names away, unless it is another file's by now.

    A program that saves by a rename may take the name at any moment. So the name is moved out of
    its reach before it is looked at.
    """
    aside = name.with_name(f"{UNDER_WAY}{secrets.token_hex(8)}")
    name.rename(aside)
    if os.path.samestat(aside.lstat(), other.lstat()):
        aside.unlink()
        return
    os.link(aside, name, follow_symlinks=False)
    aside.unlink()


def _rename_over_placeholder(source: Path, target: Path) -> None:
    """Reserve the name by an empty file, and rename over that one if it was not touched.

    For file systems without second names. Between the look and the rename there are microseconds
    in which a program could still write to the empty file.
    """
    source.lstat()  # no placeholder for what is not there
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    ours = os.fstat(descriptor)
    os.close(descriptor)
    found = target.lstat()
    if not os.path.samestat(found, ours) or found.st_size or found.st_mtime_ns != ours.st_mtime_ns:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    try:
        source.rename(target)
    except OSError:
        target.unlink()
        raise


def _renamed(source: Path, target: Path, how: int) -> int:
    """Have Linux rename; return the number of its error, 0 if it did.

    The system may have what its C library does not know of (glibc before 2.28).
    """
    rename = getattr(_libc(), "renameat2", None)
    if rename is None:
        return errno.ENOSYS
    paths = os.fsencode(source), os.fsencode(target)
    if rename(_HERE, paths[0], _HERE, paths[1], how) == 0:
        return 0
    return ctypes.get_errno()


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
