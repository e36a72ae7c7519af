"""Files that have come, noted many at a time: each note is a write that must last."""

from pathlib import Path
from typing import Final

from syncapi.client import durable
from syncapi.client.folder.ledger import FileIndex, Ledger
from syncapi.client.folder.states import Base, LocalFile

_TOGETHER: Final = 100


class Arrivals:
    """Keeps back the notes of files that have their names already.

    A crash before the note costs one hash of each: the next plan sees that both sides are alike.
    """

    def __init__(self, ledger: Ledger, index: FileIndex) -> None:
        self._ledger = ledger
        self._index = index
        self._waiting: list[tuple[Base, LocalFile]] = []
        self._folders: set[Path] = set()

    def add(self, entry: Base, file: LocalFile, folder: Path) -> None:
        """Note a file soon.

        Args:
            entry: of the ledger.
            file: what the scan would find.
            folder: where it is; its names are not on the disk yet.
        """
        self._waiting.append((entry, file))
        self._folders.add(folder)
        if len(self._waiting) >= _TOGETHER:
            self.note()

    def note(self) -> None:
        """Note all that wait, once their names last."""
        for folder in sorted(self._folders):
            durable.sync_folder(folder)
        self._folders.clear()
        waiting, self._waiting = self._waiting, []
        if waiting:
            with self._ledger.transaction():
                self._ledger.put(*(entry for entry, _ in waiting))
                self._index.add([file for _, file in waiting])
