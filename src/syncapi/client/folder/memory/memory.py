"""All that the mirror remembers between two syncs, in one store."""

from collections.abc import Callable
from datetime import datetime

from syncapi.client.folder.memory.conflicts import FolderConflicts
from syncapi.client.folder.memory.ledger import FileIndex, Ledger, PathKeys
from syncapi.client.folder.memory.out_of_sight import OutOfSight
from syncapi.client.store.store import Store


class Memory:
    """The mirror's tables.

    Attributes:
        ledger: what folder and server agreed on last, by document.
        index: what the last scan found, by path, so that the next one hashes only what changed.
        conflicts: what waits for a person to decide, and what one has decided.
        out_of_sight: files of the ledger whose paths are or were ignored.
    """

    def __init__(self, store: Store, now: Callable[[], datetime]) -> None:
        keys = PathKeys(store)
        self.ledger = Ledger(store)
        self.index = FileIndex(store, keys)
        self.conflicts = FolderConflicts(store, keys, now)
        self.out_of_sight = OutOfSight(store, self.ledger)
