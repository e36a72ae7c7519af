"""What is left alone: what the folder's ``.syncignore`` names, and what is not whole yet."""

from pathlib import Path
from typing import Final

from pathspec import GitIgnoreSpec

from syncapi.client.transfer.sinks import PART_PREFIX

IGNORE_FILE: Final = ".syncignore"
"""At the root, in the syntax of gitignore(5). It is kept in step like any file."""


def is_part_file(path: str) -> bool:
    """Whether a path is that of a download on its way."""
    return path.rpartition("/")[2].startswith(PART_PREFIX)


class Ignores:
    """The rules of one folder."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = [line for line in lines if line.strip()]
        self._spec = GitIgnoreSpec.from_lines(self._lines)

    def why(self, path: str, is_folder: bool) -> str | None:  # noqa: FBT001 - as the scan calls it
        """Why a path is left out; None if it is not."""
        if is_part_file(path):
            return "a download on its way"
        if not self._lines:
            return None
        result = self._spec.check_file(f"{path}/" if is_folder else path)
        if not result.include or result.index is None:
            return None
        return f"{IGNORE_FILE}: {self._lines[result.index]}"

    def covers(self, path: str) -> bool:
        """Whether a file is left out, or a folder that it is in."""
        if is_part_file(path):
            return True
        return bool(self._lines) and self._spec.match_file(path)


def read_ignores(root: Path) -> Ignores:
    """The rules of a folder; none where it has no such file."""
    try:
        text = (root / IGNORE_FILE).read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, IsADirectoryError):
        return Ignores([])
    return Ignores(text.splitlines())
