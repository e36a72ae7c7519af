"""Which files of the ledger were not seen lately, since their paths are or were ignored."""

from dataclasses import replace

from pydantic import RootModel

from syncapi.client.folder.ignore_rules import Ignores
from syncapi.client.folder.memory.ledger import Ledger
from syncapi.client.store.store import Store


class _Patterns(RootModel[tuple[str, ...]]):
    """The lines of the rules that the ledger was marked by last."""


class OutOfSight:
    """Marks entries of the ledger whose paths are ignored, whenever the rules are others.

    The mark outlives the rules: a file that is missing once its path is not ignored any more was
    not deleted, as far as can be known. It goes when the file is seen there, or fetched.
    """

    def __init__(self, store: Store, ledger: Ledger) -> None:
        self._ledger = ledger
        self._table = store.table("patterns", _Patterns)

    def mark(self, ignores: Ignores) -> None:
        """Mark the entries that these rules ignore, unless they are the rules of the last time."""
        patterns = _Patterns(ignores.lines)
        if self._table.get("marked") == patterns:
            return
        hidden = [
            replace(entry, was_ignored=True)
            for entry in self._ledger.entries()
            if not entry.was_ignored and ignores.covers(entry.path)
        ]
        with self._ledger.transaction():
            self._ledger.put(*hidden)
            self._table.put("marked", patterns)
