"""What identifies the content of a file."""

import re
from dataclasses import dataclass
from typing import Final

LARGEST_OBJECT: Final = 5 * 1024**4

_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_MD5: Final = re.compile(r"[0-9a-f]{32}")


def is_sha256(text: str) -> bool:
    """Whether a text is a SHA-256 in lower-case hex, so that it may name a file."""
    return _SHA256.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Digest:
    """The hashes of some bytes, in lower-case hex, and their number.

    SHA-256 is the identity. MD5 lets clients verify a download and decides nothing.
    """

    md5_hash: str
    sha256_hash: str
    file_size: int

    @property
    def has_md5(self) -> bool:
        """Whether the MD5 is one. Rows of older databases have it in upper case or Base64."""
        return _MD5.fullmatch(self.md5_hash) is not None

    def is_of_same_bytes(self, other: "Digest") -> bool:
        """Whether both are of the same bytes, whatever is said of their MD5."""
        return (self.sha256_hash, self.file_size) == (other.sha256_hash, other.file_size)
