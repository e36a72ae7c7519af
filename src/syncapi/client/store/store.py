"""The store of one replica: a folder with ``store.sqlite`` and ``blobs/``."""

import os
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from syncapi.client import durable
from syncapi.client.errors import StoreBusy, StoreDamaged, StoreError
from syncapi.client.store.blobs import Blobs
from syncapi.client.store.database import Database, create, migrate
from syncapi.client.store.envelope import DataKey
from syncapi.client.store.header import (
    Header,
    cipher_of,
    forms_of,
    read_header,
    rotated,
    unlock,
    write_header,
)
from syncapi.client.store.keys import Key
from syncapi.client.store.lock import rebuilding
from syncapi.client.store.records import Records
from syncapi.client.store.tables import M, Table

_WAIT_FOR_ANOTHER = 10.0  # seconds, while it makes the store


class Store:
    """Made by `Store.open`; a context manager that closes it.

    Where a method raises without saying so: StoreBusy, StoreDamaged, and StoreError where the disk
    is full or may not be written.
    """

    def __init__(self, folder: Path, key: Key | None) -> None:
        self._folder = folder
        self._database = Database(folder / "store.sqlite", lambda: self._commit())  # noqa: PLW0108 - looked up late
        try:
            keys = unlock(read_header(self._database), key, folder)
            self._data = keys.current
            self._records = Records(self._database, cipher_of(keys.current))
            self.blobs = Blobs(folder / "blobs", forms_of(keys.current, keys.retiring))
            if keys.retiring:
                with suppress(StoreBusy), rebuilding(folder, wait=0):
                    self._finish_rotation()
        except BaseException:
            self._database.close()
            raise

    @classmethod
    def open(cls, folder: Path, *, key: Key | None = None) -> "Store":
        """Open the store of a folder, which is made if it is not there.

        Args:
            folder: What holds everything; it is made with mode 0700.
            key: Encrypts the store when it is made, and then opens it. None for a plain one.

        Raises:
            WrongKey: the key is not the right one, or is missing, or is not needed.
            StoreDamaged: it cannot be read, or was written by a newer version.
        """
        path = folder / "store.sqlite"
        if not path.exists():
            _create(path, key)
        migrate(path)
        return cls(folder, key)

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def folder(self) -> Path:
        """Where it is kept."""
        return self._folder

    @property
    def is_encrypted(self) -> bool:
        return self._data is not None

    def transaction(self) -> AbstractContextManager[None]:
        """All changes of tables inside last together, or none does.

        One inside another can fail alone, and lasts if the outer one does. Do not hold one over an
        ``await``: another task that uses the store meanwhile gets a RuntimeError.
        """
        return self._database.transaction()

    def table(self, name: str, model: type[M]) -> Table[M]:
        return Table(self._records, name, model)

    def change_key(self, new: Key) -> None:
        """Have another key open the store from now on, at once: nothing is sealed anew.

        Whoever has both the old key and a copy of the old store can read what is written later,
        too. Where that matters, `rotate`.

        Raises:
            StoreError: the store is not encrypted, or the key cannot be kept.
        """
        data = self._encrypted()
        wrapped = new.wrap(data)
        with self.transaction():
            header = read_header(self._database)
            write_header(self._database, header.model_copy(update={"key": wrapped}), was=data.id)
        self._database.forget_old_pages()

    def rotate(self, new: Key) -> None:
        """Seal everything with a new data key, which `new` opens: the old key is good for nothing.

        Records in one transaction, then blob by blob. If it is cut short after the first of these,
        the next `open` goes on with it. Only the holder of the replica's lock may call this.

        Raises:
            StoreBusy: another process is at it.
            StoreError: the store is not encrypted, or the key cannot be kept.
        """
        old = self._encrypted()
        with rebuilding(self._folder, wait=0):
            if len(self.blobs.forms) > 1:
                self._finish_rotation()
            data = DataKey.new()
            header = rotated(data, new, old)
            cipher = cipher_of(data)
            with self.transaction():
                self._records.seal_anew(cipher)
                write_header(self._database, header, was=old.id)
            self._data, self._records.cipher = data, cipher
            self.blobs.forms = forms_of(data, old)
            self._finish_rotation()

    def check(self) -> list[str]:
        """Read everything; return what is wrong, a sentence each."""
        try:
            rows = self._database.query("PRAGMA integrity_check")
            found = [f"{self._database.path}: {text}" for (text,) in rows if text != "ok"]
            found += self._records.check()
        except StoreDamaged as error:
            found = [error.message]
        return found + list(self.blobs.check())

    def _encrypted(self) -> DataKey:
        if self._data is None:
            raise StoreError(
                f"{self._folder} is not encrypted, so it has no key to change.",
                hint="To have it encrypted, initialise it anew with a key.",
            )
        return self._data

    def _finish_rotation(self) -> None:
        self.blobs.move()
        with self.transaction():
            header = read_header(self._database)
            done = header.model_copy(update={"retiring": None})
            write_header(self._database, done, was=header.key_id)
        self._database.forget_old_pages()
        self.blobs.forms = self.blobs.forms[:1]

    def _commit(self) -> None:
        """The one place where changes of tables become lasting."""
        self._database.commit()


def _create(path: Path, key: Key | None) -> None:
    """Make an empty store and then give it its name: a crash leaves all or nothing."""
    durable.make_folder(path.parent / "blobs")
    with rebuilding(path.parent, wait=_WAIT_FOR_ANOTHER):
        if path.exists():
            return
        header = Header(key=key.wrap(DataKey.new()) if key else None)
        new = path.with_name(".store.sqlite.new")
        new.unlink(missing_ok=True)  # SQLite ignores what is left of the log of an empty file
        os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        create(new, header.key_id, header.model_dump_json())
        durable.replace(new, path)
