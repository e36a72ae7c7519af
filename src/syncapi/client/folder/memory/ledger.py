"""What the mirror remembers between two syncs.

The ledger says which document a file is, and as of which version and bytes both sides agreed.
Without it, a file that is only here could be a new one, or one that was deleted there. The index
says what was on the disk, so that unchanged files are not read again.
"""

import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from hashlib import blake2b
from uuid import UUID

from pydantic import RootModel

from syncapi.client.folder.model import Base, LocalFile, RemoteDocument, Scan
from syncapi.client.store.store import Store
from syncapi.protocol.documents import Document


class _Entry(RootModel[Base]):
    """A row of the ledger."""


class _Known(RootModel[LocalFile]):
    """A row of the index."""


class Ledger:
    """What folder and server agreed on last, by document."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._table = store.table("ledger", _Entry)

    def entries(self) -> Iterator[Base]:
        return (row.root for row in self._table.values())

    def find(self, document_id: UUID) -> Base | None:
        row = self._table.get(str(document_id))
        return None if row is None else row.root

    def at(self, path: str) -> Base | None:
        """The entry of a file."""
        return next((entry for entry in self.entries() if entry.path == path), None)

    def transaction(self) -> AbstractContextManager[None]:
        """Keep all that is noted inside, or nothing."""
        return self._store.transaction()

    def put(self, *entries: Base) -> None:
        """Keep entries, all or none."""
        if not entries:
            return
        with self._store.transaction():
            for entry in entries:
                self._table.put(str(entry.id), _Entry(entry))

    def settle(self, changed: Iterable[Base], dropped: Iterable[UUID]) -> None:
        """Keep entries and forget documents, all or none."""
        changed, dropped = tuple(changed), tuple(dropped)
        if changed or dropped:
            with self._store.transaction():
                self.put(*changed)
                self.drop(*dropped)

    def drop(self, *document_ids: UUID) -> None:
        """Forget documents, all or none."""
        if not document_ids:
            return
        with self._store.transaction():
            for document_id in document_ids:
                self._table.delete(str(document_id))


class _Salt(RootModel[str]):
    """A random key in hex."""


class PathKeys:
    """Keys of records that stand for paths and do not reveal them.

    The keys of a store's records are not encrypted, and names of files are secrets.
    """

    def __init__(self, store: Store) -> None:
        table = store.table("path_keys", _Salt)
        kept = table.get("salt")
        if kept is None:
            with store.transaction():  # another process may have been quicker
                kept = table.get("salt") or _Salt(secrets.token_hex(32))
                table.put("salt", kept)
        self._salt = bytes.fromhex(kept.root)

    def of(self, path: str) -> str:
        """A keyed hash (BLAKE2, RFC 7693 §2.9)."""
        return blake2b(path.encode(), digest_size=16, key=self._salt).hexdigest()


class FileIndex:
    """What the last scan found, by path."""

    def __init__(self, store: Store, keys: PathKeys) -> None:
        self._store = store
        self._keys = keys
        self._table = store.table("files", _Known)

    def known(self) -> dict[str, LocalFile]:
        return {row.root.path: row.root for row in self._table.values()}

    def update(self, before: Mapping[str, LocalFile], scan: Scan) -> None:
        """Keep what a scan found. What it could not read is looked at anew next time."""
        now = {file.path: file for file in scan.files}
        changed = [file for path, file in now.items() if before.get(path) != file]
        gone = before.keys() - now.keys()
        if changed or gone:
            with self._store.transaction():
                self.add(changed)
                for path in gone:
                    self._table.delete(self._keys.of(path))

    def add(self, files: Iterable[LocalFile]) -> None:
        """Keep files whose bytes are known without reading them again."""
        with self._store.transaction():
            for file in files:
                self._table.put(self._keys.of(file.path), _Known(file))


def remote_of(document: Document) -> RemoteDocument:
    """The document as the planner takes it."""
    return RemoteDocument(
        id=document.id,
        folder=document.folder,
        filename=document.filename,
        sha256=document.file.sha256_hash,
        size=document.file.file_size,
        version=document.updated_at,
        mime_type=document.mime_type,
    )
