"""Conflicts of a folder: both versions are files, until a person has decided."""

import dataclasses
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from pydantic import RootModel

from syncapi.client.folder.actions import Create, Download, SetAside
from syncapi.client.folder.ledger import PathKeys
from syncapi.client.folder.reports import FolderConflict
from syncapi.client.store.store import Store


class _Row(RootModel[FolderConflict]):
    pass


class FolderConflicts:
    """The conflicts that nobody has decided yet, by the path of the copy."""

    def __init__(self, store: Store, keys: PathKeys, now: Callable[[], datetime]) -> None:
        self._keys = keys
        self._table = store.table("folder_conflicts", _Row)
        self._now = now

    def all(self) -> list[FolderConflict]:
        return sorted((row.root for row in self._table.values()), key=lambda one: one.copy_path)

    def find(self, path: str) -> FolderConflict | None:
        """The conflict of a file, by its own path or that of the copy."""
        mine = [one for one in self.all() if path in (one.copy_path, one.path)]
        return mine[0] if mine else None

    def record(self, action: SetAside, winner: Download | None) -> None:
        """Keep that a file gives way to the server's, before it does."""
        document_id = winner.id if winner else action.id
        if document_id is None:
            return
        conflict = FolderConflict(
            id=document_id,
            path=action.path,
            copy_path=action.to,
            copy_id=None,
            seen_at=self._now(),
            mine_sha256=action.sha256,
            theirs_sha256=winner.sha256 if winner else None,
        )
        self._table.put(self._keys.of(action.to), _Row(conflict))

    def pushed(self, created: Create) -> None:
        """The copy has become a document."""
        row = self._table.get(self._keys.of(created.path))
        if row is not None:
            conflict = dataclasses.replace(row.root, copy_id=created.id)
            self._table.put(self._keys.of(created.path), _Row(conflict))

    def settle(self, conflict: FolderConflict) -> None:
        self._table.delete(self._keys.of(conflict.copy_path))

    def keep_only(self, paths: set[str], known: set[UUID]) -> None:
        """Drop those whose copy somebody has dealt with in the folder itself.

        Args:
            paths: of the files that are there.
            known: documents of the ledger.
        """
        for conflict in self.all():
            if conflict.copy_path not in paths and conflict.copy_id not in known:
                self.settle(conflict)
