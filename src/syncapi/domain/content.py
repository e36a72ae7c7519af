"""What identifies the content of a file."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Digest:
    """The hashes of some bytes, in lower-case hex, and their number.

    SHA-256 is the identity. MD5 lets clients verify a download and decides nothing.
    """

    md5_hash: str
    sha256_hash: str
    file_size: int
