"""The store of one replica: a folder with ``store.sqlite`` and ``blobs/``."""

import os
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Self

from syncapi.client import durable
from syncapi.client.store.blobs import Blobs
from syncapi.client.store.database import Database, migrate
from syncapi.client.store.keys import Key
from syncapi.client.store.tables import M, Table


class Store:
    """Open with `Store.open`, and close."""

    def __init__(self, folder: Path) -> None:
        self.blobs = Blobs(folder / "blobs")
        self._database = Database(folder / "store.sqlite", lambda: self._commit())  # noqa: PLW0108 - looked up late

    @classmethod
    def open(cls, folder: Path, *, key: Key | None = None) -> "Store":
        """Open the store of a folder, which is made if it is not there."""
        if key is not None:
            raise NotImplementedError
        path = folder / "store.sqlite"
        if not path.exists():
            _create(path)
        migrate(path)
        return cls(folder)

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
    def is_encrypted(self) -> bool:
        return False

    def transaction(self) -> AbstractContextManager[None]:
        """All changes of tables inside last together, or none does.

        One inside another belongs to it. Do not hold one over an ``await``: another task that uses
        the store meanwhile gets a RuntimeError.
        """
        return self._database.transaction()

    def table(self, name: str, model: type[M]) -> Table[M]:
        return Table(self._database, name, model)

    def _commit(self) -> None:
        """The one place where changes of tables become lasting."""
        self._database.commit()


def _create(path: Path) -> None:
    """Make an empty store and then give it its name: a crash leaves all or nothing."""
    (path.parent / "blobs").mkdir(mode=0o700, parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    new = path.with_name(".store.sqlite.new")
    new.unlink(missing_ok=True)
    os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    migrate(new)
    durable.replace(new, path)
