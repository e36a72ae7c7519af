"""Compares two files: line by line if they are text, by size and hash if not."""

import difflib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from syncapi.cli.client.console import format_size

LONGEST_TEXT = 4 * 1024 * 1024
"""In bytes; a longer file is compared by its hash."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two files.

    Attributes:
        label: its name in the comparison.
        file: None if there is no file.
    """

    label: str
    file: Path | None

    @property
    def size(self) -> int:
        return self.file.stat().st_size if self.file else 0

    def sha256(self) -> str | None:
        """The SHA-256 in hex; None if there is no file."""
        if self.file is None:
            return None
        with self.file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    def lines(self) -> list[str] | None:
        """Its lines; None if it is no text, or too long."""
        if self.file is None:
            return []
        if self.size > LONGEST_TEXT:
            return None
        data = self.file.read_bytes()
        try:
            return None if b"\0" in data else data.decode("utf-8").splitlines(keepends=True)
        except UnicodeDecodeError:
            return None


def compare_sides(old: Side, new: Side) -> Iterator[str]:
    """The lines of a unified diff, or size and hash of files that are no text."""
    before, after = old.lines(), new.lines()
    if before is None or after is None:
        for sign, side in (("-", old), ("+", new)):
            yield f"{sign} {side.label}: {_describe(side)}"
        return
    for line in difflib.unified_diff(before, after, old.label, new.label):
        yield line.rstrip("\n")
        if not line.endswith("\n"):
            yield "\\ No newline at end of file"


def _describe(side: Side) -> str:
    if side.file is None:
        return "not there"
    return f"{format_size(side.size)}, sha256 {side.sha256()}"
