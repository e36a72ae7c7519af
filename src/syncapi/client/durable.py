"""The few ways in which files are written, so that a crash leaves the old or the new, never half.

Every change of the disk that must survive goes through here. After a rename the folder is synced
too: without it the name may be lost with the power (POSIX says nothing; ext4 and XFS do so).
"""

import ctypes
import errno
import functools
import os
import sys
from pathlib import Path
from typing import Final

_HERE: Final = -100  # AT_FDCWD: paths are taken from the working directory
_NO_REPLACE: Final = 1  # RENAME_NOREPLACE


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


def _rename_exclusively(source: Path, target: Path) -> None:
    """Rename without ever taking the place of a file.

    Plain ``rename`` replaces on POSIX. Linux can refuse instead (renameat2(2)); where neither
    the system nor the file system can, looking first is the best there is.
    """
    if sys.platform == "linux":
        number = _refused(source, target)
        if number == 0:
            return
        if number not in (errno.ENOSYS, errno.EINVAL):
            raise OSError(number, os.strerror(number), str(source), None, str(target))
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    source.rename(target)


def _refused(source: Path, target: Path) -> int:
    """Have Linux rename; return the number of its error, 0 if it did.

    The system may have what its C library does not know of (glibc before 2.28).
    """
    rename = getattr(_libc(), "renameat2", None)
    if rename is None:
        return errno.ENOSYS
    paths = os.fsencode(source), os.fsencode(target)
    if rename(_HERE, paths[0], _HERE, paths[1], _NO_REPLACE) == 0:
        return 0
    return ctypes.get_errno()


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
