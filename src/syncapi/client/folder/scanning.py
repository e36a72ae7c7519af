"""What is on the disk."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

from syncapi.client.folder.states import LocalFile, Scan


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
