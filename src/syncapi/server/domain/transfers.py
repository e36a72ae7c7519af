"""Uploads that go from the client straight to the object store: their plan, and what came."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from syncapi.protocol.content import Digest
from syncapi.server.domain.errors import FieldError

MIB: Final = 1024**2

# Limits of S3 ("Amazon S3 multipart upload limits").
LEAST_PART: Final = 5 * MIB
LARGEST_PART: Final = 5 * 1024**3
MOST_PARTS: Final = 10_000

_MOST_NAMED = 20
"""Parts that an error names."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How the bytes of a file are cut into parts; parts count from 1."""

    file_size: int
    part_size: int

    @property
    def part_count(self) -> int:
        """At least one: an empty file is one empty part."""
        return max(1, -(-self.file_size // self.part_size))

    def offset(self, number: int) -> int:
        return (number - 1) * self.part_size

    def size(self, number: int) -> int:
        """All but the last are full."""
        return min(self.part_size, self.file_size - self.offset(number))

    def missing(self, received: Mapping[int, int]) -> list[int]:
        """The parts that are not there, or not as long as they should be.

        Args:
            received: the sizes of the parts that S3 has, by number.
        """
        numbers = range(1, self.part_count + 1)
        return [number for number in numbers if received.get(number) != self.size(number)]

    def faults(self, received: Mapping[int, int]) -> list[FieldError]:
        """What is wrong with the first parts of those that are missing."""
        return [
            FieldError(f"parts.{number}", self._fault(number, received.get(number)))
            for number in self.missing(received)[:_MOST_NAMED]
        ]

    def _fault(self, number: int, size: int | None) -> str:
        if size is None:
            return f"It has not arrived: upload its {self.size(number)} bytes."
        return f"It has {size} bytes, not {self.size(number)}. Upload it again."


@dataclass(frozen=True, slots=True)
class TransferRules:
    """How files are taken in.

    Attributes:
        max_bytes: of one file.
        single_max_bytes: up to here a file is one PUT.
        part_size: of a multipart upload, unless it would have too many parts.
        binds_content: S3 verifies ``x-amz-checksum-sha256``, so that the URL of a PUT is good
            for the declared bytes and no others.
    """

    max_bytes: int
    single_max_bytes: int = 64 * MIB
    part_size: int = 16 * MIB
    binds_content: bool = True

    def is_single(self, size: int) -> bool:
        """Whether one PUT takes the file.

        The URL of a PUT goes on working after the file is complete. If S3 does not verify the
        bytes against their SHA-256, a client could replace them; the URLs of parts end with their
        upload.
        """
        return size == 0 or (self.binds_content and size <= self.single_max_bytes)

    def plan(self, size: int) -> Plan:
        """Cut a file of ``size`` bytes."""
        if self.is_single(size):
            return Plan(size, max(size, 1))
        least = -(-size // MOST_PARTS)
        return Plan(size, max(self.part_size, -(-least // MIB) * MIB))


def ranges(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Rising numbers as runs: 1 2 3 7 → (1, 3) (7, 7)."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs


def differences(declared: Digest, found: Digest) -> Sequence[FieldError]:
    """In what the bytes that came differ from those that were declared."""
    return [
        FieldError(name, f"Declared was {wanted}, but the uploaded bytes have {had}.")
        for name in ("file_size", "sha256_hash", "md5_hash")
        if (wanted := getattr(declared, name)) != (had := getattr(found, name))
    ]
