"""Two files beside each other: line by line if they are text, by size and hash if not."""

import difflib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from syncapi.cli.client.console import sized

LONGEST_TEXT = 4 * 1024 * 1024
"""Bytes; what is longer is compared by its hash."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two.

    Attributes:
        label: what it is called in the comparison.
        file: None where there is none.
    """

    label: str
    file: Path | None

    @property
    def size(self) -> int:
        return self.file.stat().st_size if self.file else 0

    def sha256(self) -> str | None:
        """Hex; None where there is no file."""
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


def compared(old: Side, new: Side) -> Iterator[str]:
    """The lines of a unified diff, or of what can be said of files that are no text."""
    before, after = old.lines(), new.lines()
    if before is None or after is None:
        for sign, side in (("-", old), ("+", new)):
            yield f"{sign} {side.label}: {_in_short(side)}"
        return
    for line in difflib.unified_diff(before, after, old.label, new.label):
        yield line.rstrip("\n")
        if not line.endswith("\n"):
            yield "\\ No newline at end of file"


def _in_short(side: Side) -> str:
    if side.file is None:
        return "not there"
    return f"{sized(side.size)}, sha256 {side.sha256()}"
