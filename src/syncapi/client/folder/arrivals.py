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
        self._waiting: list[tuple[Base, LocalFile, Path]] = []

    def add(self, entry: Base, file: LocalFile, folder: Path) -> None:
        """Note a file soon.

        Args:
            entry: of the ledger.
            file: what the scan would find.
            folder: where it is; its names are not on the disk yet.
        """
        self._waiting.append((entry, file, folder))
        if len(self._waiting) >= _TOGETHER:
            self.note()

    def note(self) -> None:
        """Note all that wait, once their names last.

        Those in a folder that somebody took away are not noted: their names may not last, and a
        file that is noted and missing would be deleted on the server. The next scan sees to them.
        """
        waiting, self._waiting = self._waiting, []
        lasting = {folder for folder in sorted({where for *_, where in waiting}) if _lasts(folder)}
        noted = [(entry, file) for entry, file, folder in waiting if folder in lasting]
        if noted:
            with self._ledger.transaction():
                self._ledger.put(*(entry for entry, _ in noted))
                self._index.add([file for _, file in noted])


def _lasts(folder: Path) -> bool:
    """Have the names in a folder on the disk, if it is there."""
    try:
        durable.sync_folder(folder)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True
