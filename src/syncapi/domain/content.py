"""What identifies the content of a file."""

import re
from dataclasses import dataclass
from typing import Final

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
    def is_possible(self) -> bool:
        """Whether there can be bytes of these hashes."""
        return is_sha256(self.sha256_hash) and _MD5.fullmatch(self.md5_hash) is not None
