"""What is left alone: what the folder's ``.syncignore`` names, and what is not whole yet."""

import re
from pathlib import Path
from typing import Final

from pathspec import GitIgnoreSpec

from syncapi.client.errors import SyncError
from syncapi.client.folder.conflict_names import is_any_interim
from syncapi.client.transfer.sinks import PART_PREFIX

IGNORE_FILE: Final = ".syncignore"
"""At the root, in the syntax of gitignore(5). It is kept in step like any file."""

OWN_PREFIX: Final = ".syncapi"
"""Of names that are kept for syncapi itself."""

_OWN_PART: Final = re.compile(re.escape(PART_PREFIX) + r"[a-z-]*[0-9a-f]{64}(-[0-9a-f-]{36})?")


def is_part_file(path: str) -> bool:
    """Whether a path is that of a download on its way."""
    return path.rpartition("/")[2].startswith(PART_PREFIX)


def is_own_part(path: str) -> bool:
    """Whether a path is that of a download of the mirror's, and not merely called alike."""
    return _OWN_PART.fullmatch(path.rpartition("/")[2]) is not None


class Ignores:
    """The rules of one folder.

    As with git, nothing in a folder that is left out can be taken in again: the scan does not look
    into it, so what is in it must never be taken for missing.

    Raises:
        SyncError: a line is no pattern.
    """

    def __init__(self, lines: list[str]) -> None:
        self._lines = [line for line in lines if line.strip()]
        try:
            self._spec = GitIgnoreSpec.from_lines(self._lines)
        except ValueError as error:
            hint = f"Mend or remove that line of {IGNORE_FILE}. Nothing was done."
            raise SyncError(f"{IGNORE_FILE} cannot be read: {error}", hint=hint) from error
        self._folders: dict[str, bool] = {"": False}

    @property
    def lines(self) -> tuple[str, ...]:
        """The rules as they are written."""
        return tuple(self._lines)

    def why(self, path: str, is_folder: bool) -> str | None:  # noqa: FBT001 - as the scan calls it
        """Why the scan leaves a path out; None if it does not. Its folder is not.

        What a crash has left under an interim name is looked at, whatever the patterns say: it is
        the file of a document that is not ignored.
        """
        if not is_folder and is_any_interim(path):
            return None
        return self._why(path, is_folder=is_folder)

    def _why(self, path: str, *, is_folder: bool) -> str | None:
        name = path.rpartition("/")[2]
        if name.startswith(PART_PREFIX):
            return "a download on its way"
        if name.startswith(OWN_PREFIX):
            return "syncapi's own"
        if not self._lines or path == IGNORE_FILE:
            return None
        result = self._spec.check_file(f"{path}/" if is_folder else path)
        if not result.include or result.index is None:
            return None
        return f"{IGNORE_FILE}: {self._lines[result.index]}"

    def covers(self, path: str) -> bool:
        """Whether a file is left out, or a folder that it is in."""
        return (
            self._covers_folder(path.rpartition("/")[0])
            or self._why(path, is_folder=False) is not None
        )

    def _covers_folder(self, folder: str) -> bool:
        known = self._folders.get(folder)
        if known is None:
            known = self._covers_folder(folder.rpartition("/")[0])
            known = self._folders[folder] = known or self._why(folder, is_folder=True) is not None
        return known


def read_ignores(root: Path) -> Ignores:
    """The rules of a folder; none where it has no such file.

    Raises:
        SyncError: it cannot be read. To go on without would push what must stay here.
    """
    place = root / IGNORE_FILE
    try:
        text = place.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        if place.is_symlink():
            raise _unreadable("it is a link that leads nowhere") from None
        return Ignores([])
    except UnicodeDecodeError as error:
        raise _unreadable("it is not UTF-8") from error
    except OSError as error:
        raise _unreadable(error.strerror or str(error)) from error
    return Ignores(text.splitlines())


def _unreadable(why: str) -> SyncError:
    return SyncError(
        f"{IGNORE_FILE} cannot be read: {why}.",
        hint=f"Make {IGNORE_FILE} readable, or remove it. Nothing was done.",
    )
