"""Conflicts of a folder: both versions are files, until a person has decided."""

import dataclasses
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import PurePosixPath
from uuid import UUID

from pydantic import RootModel

from syncapi.client.errors import SyncError
from syncapi.client.folder.actions import Adopt, Create, Download, SetAside
from syncapi.client.folder.exchanges import Exchange, KnownBytes
from syncapi.client.folder.ledger import Ledger, PathKeys
from syncapi.client.folder.model import Base, Scan
from syncapi.client.folder.reports import FolderConflict
from syncapi.client.store.lock import deciding
from syncapi.client.store.store import Store
from syncapi.protocol.base import WireModel
from syncapi.protocol.documents import Document


class _Row(RootModel[FolderConflict]):
    pass


class _Asked(WireModel):
    """The bytes that a person was asked about, while the document had this version."""

    sha256s: tuple[str, ...]
    version: datetime | None


class _Exchange(RootModel[Exchange]):
    pass


class SeveralConflicts(SyncError):  # noqa: N818 - named as the other failures are
    """A path does not tell which of its conflicts is meant."""

    def __init__(self, path: str, conflicts: Sequence[FolderConflict]) -> None:
        copies = "".join(f"\n  {conflict.copy_path}" for conflict in conflicts)
        super().__init__(
            f"{path} has {len(conflicts)} conflicts. Their copies are:{copies}",
            hint="Name the copy that you mean.",
        )


class FolderConflicts:
    """The conflicts that nobody has decided yet, by the path that the copy was given."""

    def __init__(self, store: Store, keys: PathKeys, now: Callable[[], datetime]) -> None:
        self._keys = keys
        self._ledger = Ledger(store)
        self._store = store
        self._table = store.table("folder_conflicts", _Row)
        self._asked = store.table("folder_conflicts_asked", _Asked)
        self._exchanges = store.table("folder_conflicts_exchanges", _Exchange)
        self._now = now

    def all(self) -> list[FolderConflict]:
        """Each with its copy where that is now: somebody may have renamed it."""
        found = (self._followed(row.root) for row in self._table.values())
        return sorted(found, key=lambda one: one.copy_path)

    def find(self, path: str) -> FolderConflict | None:
        """The conflict of a file, by the path of the copy or else by its own.

        Raises:
            SeveralConflicts: it is a file's own path, which does not tell them apart.
        """
        found = self.all()
        named = [one for one in found if one.copy_path == path]
        named = named or [one for one in found if one.path == path]
        if len(named) > 1:
            raise SeveralConflicts(path, named)
        return named[0] if named else None

    def record(self, action: SetAside, winner: Download | None) -> None:
        """Keep that a file gives way to the server's, before it does."""
        document_id = winner.id if winner else action.id
        if document_id is None:
            return
        conflict = FolderConflict(
            id=document_id,
            path=winner.path if winner else action.path,
            copy_path=action.to,
            copy_id=None,
            seen_at=self._now(),
            mine_sha256=action.sha256,
            theirs_sha256=winner.sha256 if winner else None,
        )
        with self._store.transaction():
            self._table.put(self._keys.of(action.to), _Row(conflict))
            self._exchanges.delete(self._keys.of(action.to))
            if action.entry is not None:
                self._note_asked(action.entry, action.sha256)

    def _note_asked(self, entry: Base, sha256: str) -> None:
        asked = self._asked.get(str(entry.id))
        before = asked.sha256s if asked is not None and asked.version == entry.version else ()
        now = _Asked(sha256s=(*before, sha256), version=entry.version)
        self._asked.put(str(entry.id), now)

    def was_asked(self, document: Document, sha256: str) -> bool:
        """Whether a person was asked about these bytes in the place of this version of a document.

        Who brings them back has decided, unless the decision was for the server's version.
        """
        asked = self._asked.get(str(document.id))
        return (
            asked is not None and asked.version == document.updated_at and sha256 in asked.sha256s
        )

    def pushed(self, copy: Create | Adopt) -> None:
        """The copy has become a document; that it did is adopted where the answer was lost.

        It stays that document: another file may have got the copy's first name since.
        """
        row = self._table.get(self._keys.of(copy.path))
        if row is not None and row.root.copy_id is None:
            conflict = dataclasses.replace(row.root, copy_id=copy.id)
            self._table.put(self._keys.of(copy.path), _Row(conflict))

    def settle(self, conflict: FolderConflict, *, has_mine: bool = False) -> None:
        """Drop a conflict.

        Args:
            conflict: as `all` or `find` has told it.
            has_mine: whether mine got the file's name. Then it is pushed without another question,
                also if it is an older version. Else a person is asked about it each time.
        """
        key = self._key_of(conflict)
        if key is None:
            return
        entry = self._entry(conflict.id)
        with self._store.transaction():
            self._table.delete(key)
            self._exchanges.delete(key)
            if not has_mine:
                self._asked.delete(str(conflict.id))
            elif entry is not None:
                self._note_asked(entry, conflict.mine_sha256)

    def deciding(self) -> AbstractContextManager[None]:
        """Keep other processes out that decide a conflict. Raises `StoreBusy`."""
        return deciding(self._store.folder)

    def note_exchange(self, conflict: FolderConflict, exchange: Exchange) -> None:
        """Keep that the files of a conflict are about to get each other's names."""
        key = self._key_of(conflict)
        if key is not None:
            self._exchanges.put(key, _Exchange(exchange))

    def exchange_of(self, conflict: FolderConflict) -> Exchange | None:
        """What was kept so last; None if nothing was."""
        key = self._key_of(conflict)
        row = None if key is None else self._exchanges.get(key)
        return None if row is None else row.root

    def forget_exchange(self, conflict: FolderConflict) -> None:
        """Drop what was kept so: the copy is mine."""
        key = self._key_of(conflict)
        if key is not None:
            self._exchanges.delete(key)

    def exchanged(self) -> list[FolderConflict]:
        """Those of which such is kept."""
        noted = {key for key, _ in self._exchanges.items()}
        if not noted:
            return []
        return [self._followed(row.root) for key, row in self._table.items() if key in noted]

    def known_bytes(self, conflict: FolderConflict) -> KnownBytes:
        """What each side of a conflict had when it was set aside, and when it was synced last."""
        own, copy = self._entry(conflict.id), self._entry(conflict.copy_id)
        return KnownBytes(
            mine={conflict.mine_sha256, copy.sha256 if copy else ""},
            theirs={conflict.theirs_sha256 or "", own.sha256 if own else ""},
        )

    def _key_of(self, conflict: FolderConflict) -> str | None:
        rows = self._table.items()
        return next((key for key, row in rows if _is_same(row.root, conflict)), None)

    def keep_only(self, scan: Scan) -> None:
        """Drop those whose copy somebody has dealt with in the folder itself.

        Args:
            scan: what it has left alone is there, for all that is known.
        """
        files = {file.path: file.sha256 for file in scan.files}
        skipped = {skipped.path for skipped in scan.skipped}
        for conflict in self.all():
            path = conflict.copy_path
            is_there = path in files or not skipped.isdisjoint(_up_from(path))
            if not is_there and self._entry(conflict.copy_id) is None:
                self.settle(conflict, has_mine=files.get(conflict.path) == conflict.mine_sha256)
                self._follow_renamed(conflict, scan)

    def _follow_renamed(self, conflict: FolderConflict, scan: Scan) -> None:
        """A copy that no push has made a document of yet is known by its bytes alone."""
        if conflict.copy_id is not None:
            return
        owned = {entry.path for entry in self._ledger.entries()}
        for file in scan.files:
            if file.sha256 == conflict.mine_sha256 and file.path not in owned:
                renamed = dataclasses.replace(conflict, copy_path=file.path)
                self._table.put(self._keys.of(file.path), _Row(renamed))
                return

    def _followed(self, conflict: FolderConflict) -> FolderConflict:
        """Both files may have been renamed since, here or on the server."""
        own, copy = self._entry(conflict.id), self._entry(conflict.copy_id)
        return dataclasses.replace(
            conflict,
            path=own.path if own else conflict.path,
            copy_path=copy.path if copy else conflict.copy_path,
        )

    def _entry(self, document_id: UUID | None) -> Base | None:
        return self._ledger.find(document_id) if document_id else None


def _is_same(one: FolderConflict, other: FolderConflict) -> bool:
    """Whether it is one conflict: a sync may push its copy and follow its files meanwhile."""
    return (one.id, one.mine_sha256, one.seen_at) == (other.id, other.mine_sha256, other.seen_at)


def _up_from(path: str) -> set[str]:
    """The path itself and the folders that it is in."""
    return {path, *map(str, PurePosixPath(path).parents)}
