"""When a file's inode was made.

On Linux only statx(2) has it, which Python does not call; elsewhere it is ``st_birthtime``. With
the inode's number it is the identity of a file: the number alone is given to the next file when a
file is deleted.
"""

import ctypes
import os
import struct
import sys
from functools import cache
from typing import Any, Final

_AT_FDCWD: Final = -100
_AT_SYMLINK_NOFOLLOW: Final = 0x100
_STATX_INO_AND_BTIME: Final = 0x100 | 0x800
_STATX_BTIME: Final = 0x800
_SIZE: Final = 256
_MASK: Final = struct.Struct("=I")  # stx_mask, at 0
_INO: Final = struct.Struct("=Q")  # stx_ino, at 32
_TIME: Final = struct.Struct("=qI")  # stx_btime, at 80: seconds and nanoseconds


def birth_ns(place: str, status: os.stat_result) -> int | None:
    """When a file was made, in ns since the epoch; None where the system does not know.

    Args:
        place: its path; a symbolic link is not followed.
        status: of the file; if another file is at the path by now, the result is None.
    """
    if not sys.platform.startswith("linux"):
        seconds: float | None = getattr(status, "st_birthtime", None)
        return int(seconds * 1_000_000_000) if seconds else None
    statx = _statx()
    if statx is None:
        return None
    found = ctypes.create_string_buffer(_SIZE)
    path = os.fsencode(place)
    if statx(_AT_FDCWD, path, _AT_SYMLINK_NOFOLLOW, _STATX_INO_AND_BTIME, found) != 0:
        return None
    if not _MASK.unpack_from(found, 0)[0] & _STATX_BTIME:
        return None
    if _INO.unpack_from(found, 32)[0] != status.st_ino:
        return None
    seconds_there, nanoseconds = _TIME.unpack_from(found, 80)
    return int(seconds_there * 1_000_000_000 + nanoseconds) or None


@cache
def _statx() -> Any | None:  # noqa: ANN401 - a foreign function has no better type
    """The C library's, if it has one (glibc 2.28, musl 1.2)."""
    try:
        function = ctypes.CDLL(None).statx
    except (OSError, AttributeError):
        return None
    function.argtypes = (
        ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_uint, ctypes.c_char_p
    )  # fmt: skip
    return function
