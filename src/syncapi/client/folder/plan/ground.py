"""Who has which path in the end, and what else stands on the disk."""

from collections.abc import Iterable
from copy import copy
from typing import Self

from syncapi.client.folder.model import LocalFile, Scan
from syncapi.client.folder.names import folders_of
from syncapi.client.folder.plan.documents import Doc
from syncapi.client.folder.rules import Rules


class Ground:
    """Paths that are taken. Two are one where the file system takes them for one.

    Strays are files that are no document's. One may be set aside, but not its folder.
    """

    def __init__(self, scan: Scan, strays: Iterable[LocalFile], rules: Rules) -> None:
        self._rules = rules
        self._files: set[str] = set()
        self._folders: dict[str, str] = {}  # as the first file that comes into it spells it
        self._unknown = frozenset(map(rules.key, scan.unknown))
        self._skipped = frozenset(rules.key(skipped.path) for skipped in scan.skipped)
        self._on_disk = {rules.key(folder): folder for folder in scan.folders}
        self._local = frozenset(rules.key(file.path) for file in scan.files)
        self._strays = {rules.key(file.path): file for file in strays}
        for file in self._strays.values():
            self.keep_folders(file.path)

    def copy(self) -> Self:
        """Copy it; what one of the two learns, the other does not."""
        copied = copy(self)
        copied._files, copied._folders = set(self._files), dict(self._folders)  # noqa: SLF001 - its own class
        return copied

    def stray(self, path: str) -> LocalFile | None:
        return self._strays.get(self._rules.key(path))

    def is_unknown(self, path: str) -> bool:
        """Whether the scan could not see what is at a path, or above it."""
        return self._is_below(path, self._unknown)

    def is_skipped(self, path: str) -> bool:
        """Whether the scan could not see it, or left it alone since it is ignored."""
        return self._is_below(path, self._skipped)

    def _is_below(self, path: str, above: frozenset[str]) -> bool:
        if not above:
            return False
        return any(self._rules.key(part) in above for part in (*folders_of(path), path))

    def keep(self, path: str) -> None:
        """A file is there in the end."""
        self._files.add(self._rules.key(path))
        self.keep_folders(path)

    def keep_folders(self, path: str) -> None:
        """The folders of a path are there in the end."""
        folder = path.rpartition("/")[0]
        while folder and (key := self._rules.key(folder)) not in self._folders:
            self._folders[key] = folder
            folder = folder.rpartition("/")[0]

    def has_file(self, path: str) -> bool:
        return self._rules.key(path) in self._files

    def file_above(self, path: str) -> str | None:
        """The file that is where one of the path's folders would be."""
        for folder in folders_of(path):
            key = self._rules.key(folder)
            if key in self._files or key in self._strays:
                return folder
        return None

    def folder_at(self, path: str, leaving: Iterable[Doc]) -> bool:
        """Whether a folder is at a path in the end, unless all that is in it leaves."""
        key = self._rules.key(path)
        if key in self._folders:
            return True
        if key not in self._on_disk:
            return False
        below = f"{key}/"
        if any(skipped.startswith(below) for skipped in self._skipped):
            return True
        emptied: set[str] = set()
        for doc in leaving:
            if doc.file is not None and self._rules.key(doc.file.path).startswith(below):
                emptied.update(map(self._rules.key, folders_of(doc.file.path)))
        folders = (folder for folder in self._on_disk if folder == key or folder.startswith(below))
        return any(folder not in emptied for folder in folders)

    def is_free(self, path: str) -> bool:
        """Whether nothing is at a path, now or in the end; for names that are made up."""
        key = self._rules.key(path)
        taken = (self._files, self._folders, self._on_disk, self._local, self._skipped)
        return not any(key in paths for paths in taken)

    def aligned(self, path: str) -> str:
        """The path with its folders spelt as on the disk, where that makes no difference to it.

        A folder that is not there yet is spelt as by the first file that comes into it.
        """
        if not self._rules.case_insensitive:
            return path
        for folder in reversed(folders_of(path)):
            key = self._rules.key(folder)
            found = self._on_disk.get(key) or self._folders.get(key)
            if found is not None:
                return found + path[len(folder) :]
        return path
