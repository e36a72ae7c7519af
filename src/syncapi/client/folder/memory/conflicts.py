"""Conflicts of a folder: both versions are files, until a person has decided."""

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from uuid import UUID

from pydantic import RootModel

from syncapi.client.errors import SyncError
from syncapi.client.folder.disk.exchanges import Exchange, FileNumber, KnownBytes
from syncapi.client.folder.memory.ledger import Ledger, PathKeys
from syncapi.client.folder.memory.questions import Questions
from syncapi.client.folder.model import Base, LocalFile, Scan, is_left_alone
from syncapi.client.folder.plan.actions import Adopt, Create, Download, SetAside
from syncapi.client.folder.reports import FolderConflict
from syncapi.client.store.lock import deciding
from syncapi.client.store.store import Store


class _ConflictRow(RootModel[FolderConflict]):
    pass


class _Exchange(RootModel[Exchange]):
    pass


class SeveralConflicts(SyncError):  # noqa: N818 - named as the other failures are
    """A path does not say which of its conflicts is meant."""

    def __init__(self, path: str, conflicts: Sequence[FolderConflict]) -> None:
        copies = "".join(f"\n  {conflict.copy_path}" for conflict in conflicts)
        super().__init__(
            f"{path} has {len(conflicts)} conflicts. Their copies are:{copies}",
            hint="Name the copy that you mean.",
        )


class FolderConflicts:
    """The conflicts that are not decided yet, by the path that the copy was given."""

    def __init__(self, store: Store, keys: PathKeys, now: Callable[[], datetime]) -> None:
        self._keys = keys
        self._ledger = Ledger(store)
        self._store = store
        self._table = store.table("folder_conflicts", _ConflictRow)
        self._asked = Questions(store)
        self._exchanges = store.table("folder_conflicts_exchanges", _Exchange)
        self._now = now

    def all(self) -> list[FolderConflict]:
        """Each with its copy where that is now: it may have been renamed."""
        found = (self._followed(row.root) for row in self._table.values())
        return sorted(found, key=lambda one: one.copy_path)

    def find(self, path: str) -> FolderConflict | None:
        """The conflict of a file, by the path of the copy or else by its own.

        Raises:
            SeveralConflicts: it is a file's own path, which names them all.
        """
        row = self._table.get(self._keys.of(path))
        if row is not None and (copy := self._followed(row.root)).copy_path == path:
            return copy
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
            self._table.put(self._keys.of(action.to), _ConflictRow(conflict))
            self._exchanges.delete(self._keys.of(action.to))
            if action.entry is not None:
                self._asked.note(winner.entry if winner else action.entry, action.sha256)

    def was_asked(self, entry: Base, sha256: str) -> bool:
        """Whether a person was asked about these bytes in the place of the version that is here.

        Who brings them back alone is not asked again, unless they decided for the server's.
        """
        return self._asked.was_asked(entry, sha256)

    def ask_again(self, document_ids: Collection[UUID]) -> None:
        """Have the same bytes asked about again, as after a decision for the server's versions."""
        if document_ids:
            with self._store.transaction():
                for document_id in document_ids:
                    self._asked.forget(document_id)

    def was_decided(self, entry: Base, sha256: str, file: LocalFile | None) -> bool:
        """Whether a person decided that these bytes take the place of the version that is here.

        They said so, or have moved the copy itself over the document's file.

        Args:
            entry: of the document.
            sha256: hex.
            file: what is in its place; None if nothing is.
        """
        return self._asked.was_decided(entry, sha256) or any(
            row.root.id == entry.id and _is_file_of(self._entry(row.root.copy_id), file)
            for row in self._table.values()
        )

    def pushed(self, copy: Create | Adopt) -> None:
        """The copy has become a document; that it did is adopted where the answer was lost.

        It stays that document: another file may have got the copy's first name since.
        """
        row = self._table.get(self._keys.of(copy.path))
        if row is not None and row.root.copy_id is None:
            conflict = dataclasses.replace(row.root, copy_id=copy.id)
            self._table.put(self._keys.of(copy.path), _ConflictRow(conflict))

    def settle(
        self, conflict: FolderConflict, *, has_mine: bool = False, is_decided: bool = False
    ) -> None:
        """Drop a conflict.

        Args:
            conflict: as `all` or `find` returned it.
            has_mine: whether the file has the bytes of mine. Then it is pushed without another
                question, also if it is an older version. Else a person is asked each time.
            is_decided: whether a person said so. Else a backup may have brought those bytes.
        """
        key = self._key_of(conflict)
        if key is None:
            return
        entry = self._entry(conflict.id)
        with self._store.transaction():
            self._table.delete(key)
            self._exchanges.delete(key)
            if not has_mine:
                self._asked.forget_bytes(conflict.id, conflict.mine_sha256)
            elif entry is not None:
                self._asked.note(entry, conflict.mine_sha256, is_decided=is_decided)

    def has_another_file(self, conflict: FolderConflict) -> bool:
        """Whether a file in its place is no version of its document, since that was deleted."""
        return self._entry(conflict.id) is None

    def note_place_of_mine(self, conflict: FolderConflict, mine: FileNumber | None) -> None:
        """Keep that mine is the document's file now. Under another name it is known as such.

        What theirs had is what mine was decided against, whether its bytes have come or not.

        Args:
            conflict: whose copy is no document's file any more.
            mine: of the file at the document's place.
        """
        own, copy = self._entry(conflict.id), self._entry(conflict.copy_id)
        if own is None or mine is None:
            return
        agreed = own.sha256 or conflict.theirs_sha256 or ""
        with self._store.transaction():
            self._ledger.put(
                dataclasses.replace(own, sha256=agreed, inode=mine.inode, birth_ns=mine.birth_ns)
            )
            if copy is not None:
                self._ledger.put(dataclasses.replace(copy, inode=0, birth_ns=None))

    def decided_bytes(self) -> set[str]:
        """SHA-256 of what a person has decided to have in a document's place, not pushed yet."""
        return {
            sha256
            for document_id, row in self._asked.rows()
            if row.decided and (entry := self._ledger.find(document_id)) is not None
            for sha256 in row.decided
            if row.version == entry.version
        }

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
        """Drop what was kept so: the copy is mine, and is where the conflict names it now."""
        key = self._key_of(conflict)
        row = None if key is None else self._table.get(key)
        if key is None or row is None:
            return
        with self._store.transaction():
            self._exchanges.delete(key)
            if row.root.copy_id is None:  # nothing else follows it
                self._table.delete(key)
                self._table.put(self._keys.of(conflict.copy_path), _ConflictRow(conflict))

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
        key = self._keys.of(conflict.copy_path)
        row = self._table.get(key)
        if row is not None and _is_same(row.root, conflict):
            return key
        rows = self._table.items()  # the copy was renamed
        return next((key for key, row in rows if _is_same(row.root, conflict)), None)

    def keep_only(self, scan: Scan) -> None:
        """Drop those whose copy a person has dealt with in the folder itself.

        A decision that was broken off may have left mine under the other name.

        Args:
            scan: what it has left alone is there, for all that is known.
        """
        files = {file.path: file.sha256 for file in scan.files}
        self._forget_undone(files)
        exchanged = self.exchanged()
        for conflict in self.all():
            path = conflict.copy_path
            is_there = path in files or is_left_alone(path, scan) or conflict in exchanged
            if not is_there and self._entry(conflict.copy_id) is None:
                self.settle(conflict, has_mine=files.get(conflict.path) == conflict.mine_sha256)
                self._follow_renamed(conflict, scan)

    def _forget_undone(self, files: Mapping[str, str]) -> None:
        """Drop decisions whose files have the agreed bytes again: a person has undone them."""
        for document_id, row in self._asked.rows():
            entry = self._ledger.find(document_id) if row.decided else None
            if entry is not None and files.get(entry.path) == entry.sha256:
                for sha256 in row.decided:
                    self._asked.forget_bytes(document_id, sha256)

    def _follow_renamed(self, conflict: FolderConflict, scan: Scan) -> None:
        """A copy that no push has made a document of yet is known by its bytes alone."""
        if conflict.copy_id is not None:
            return
        owned = {entry.path for entry in self._ledger.entries()}
        for file in scan.files:
            if file.sha256 == conflict.mine_sha256 and file.path not in owned:
                renamed = dataclasses.replace(conflict, copy_path=file.path)
                self._table.put(self._keys.of(file.path), _ConflictRow(renamed))
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


def _is_file_of(entry: Base | None, file: LocalFile | None) -> bool:
    """Whether it surely is the one that the ledger knows, with its bytes."""
    if entry is None or file is None or file.birth_ns is None:
        return False
    known = entry.inode, entry.birth_ns, entry.sha256
    return known == (file.inode, file.birth_ns, file.sha256)
