"""The SQLite file: one writer at a time, changes on the disk when a transaction ends.

WAL with ``synchronous=FULL``: a commit is synced before it returns, so that a power cut takes
back none (https://sqlite.org/pragma.html#pragma_synchronous).
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from threading import RLock
from typing import Any

from syncapi.client.errors import StoreBusy, StoreDamaged, StoreError
from syncapi.client.store.migrations import MIGRATIONS

WAY_OUT = (
    "The server has everything that was pushed: move the folder of the store away and initialise"
    " it again. Edits that were never pushed are in that folder alone."
)
WAIT_FOR_OTHERS = 5.0  # seconds; a transaction takes milliseconds

Row = tuple[Any, ...]


class Database:
    """An open file. Threads take turns; a transaction belongs to one thread and one task.

    Args:
        path: The file, which exists.
        commit: What ends an outermost transaction; it calls `commit` of this class.

    Raises:
        StoreBusy: another process wrote for more than five seconds.
        StoreDamaged: the file cannot be read.
        StoreError: it cannot be written: the disk is full, or permissions are missing.
        Every method raises these.
    """

    def __init__(self, path: Path, commit: Callable[[], None]) -> None:
        self.path = path
        self._commit = commit
        self._turn = RLock()
        self._depth = 0
        self._task: asyncio.Task[Any] | None = None
        with explaining(path):
            self._connection = connect(path)

    def close(self) -> None:
        with self._turn:
            self._connection.close()

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        """All rows at once, so that the caller may write while it walks over them."""
        with self._mine(), explaining(self.path):
            return self._connection.execute(sql, parameters).fetchall()

    def change(self, sql: str, parameters: Sequence[object] = ()) -> int:
        """Execute one statement, in a transaction of its own if none is open.

        Returns:
            How many rows it changed.
        """
        with self._mine(), nullcontext() if self._depth else self.transaction():
            return self._execute(sql, parameters).rowcount

    def forget_old_pages(self) -> None:
        """Empty the log, in which what was overwritten can still be read."""
        self.query("PRAGMA wal_checkpoint(TRUNCATE)")

    def commit(self) -> None:
        self._execute("COMMIT")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing. One inside another can fail alone, and lasts if the outer one does."""
        with self._mine():
            inner = f"inner{self._depth}" if self._depth else None
            self._execute(f"SAVEPOINT {inner}" if inner else "BEGIN IMMEDIATE")
            self._depth += 1
            self._task = _this_task()
            try:
                yield
                if inner:
                    self._execute(f"RELEASE {inner}")
                else:
                    self._commit()
            except BaseException:
                if self._connection.in_transaction:
                    self._execute(f"ROLLBACK TO {inner}" if inner else "ROLLBACK")
                raise
            finally:
                self._depth -= 1

    @contextmanager
    def _mine(self) -> Iterator[None]:
        """Wait for other threads; refuse another task, which would join a foreign transaction."""
        with self._turn:
            if self._depth and self._task is not _this_task():
                raise RuntimeError("a transaction of the store was held over an await")
            if self._depth and not self._connection.in_transaction:
                raise StoreError(  # as after a full disk; what follows must not be written alone
                    f"A transaction of {self.path} failed.", hint="Begin it again."
                )
            yield

    def _execute(self, sql: str, parameters: Sequence[object] = ()) -> sqlite3.Cursor:
        with explaining(self.path):
            return self._connection.execute(sql, parameters)


def connect(path: Path) -> sqlite3.Connection:
    """Open an existing file."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        timeout=WAIT_FOR_OTHERS,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = ON")  # old keys are overwritten, not only let go
    return connection


def create(path: Path, key_id: str, header: str) -> None:
    """Make the tables in an empty file."""
    with explaining(path), closing(connect(path)) as connection:
        _upgrade(connection, 0)
        connection.execute("INSERT INTO header VALUES (?, ?)", (key_id, header))


def migrate(path: Path) -> None:
    """Bring the tables up to date.

    Raises:
        StoreDamaged: the file is no store, or a newer version of this program has written it.
    """
    with explaining(path), closing(connect(path)) as connection:
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            raise StoreDamaged(f"{path} is damaged: it is empty, or no store.", hint=WAY_OUT)
        if version > len(MIGRATIONS):
            raise StoreDamaged(
                f"{path} was written by a newer syncapi (format {version}, this one knows"
                f" {len(MIGRATIONS)}).",
                hint="Upgrade: pip install --upgrade syncapi",
            )
        if version < len(MIGRATIONS):
            _upgrade(connection, version)


def _upgrade(connection: sqlite3.Connection, version: int) -> None:
    connection.execute("BEGIN IMMEDIATE")
    if connection.execute("PRAGMA user_version").fetchone()[0] == version:  # nobody was quicker
        for statement in (line for step in MIGRATIONS[version:] for line in step):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    connection.execute("COMMIT")


_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_DISK = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PERM,
    }
)


@contextmanager
def explaining(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into ours."""
    try:
        yield
    except sqlite3.ProgrammingError:
        raise  # a mistake of the program, such as the use of a closed store
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in _BUSY:
            raise StoreBusy(
                f"Another process is writing to {path}.", hint="Try again when it has ended."
            ) from error
        if code in _DISK:
            raise StoreError(
                f"{path} cannot be used: {error}.",
                hint="See that the disk has room and that you may write to the folder.",
            ) from error
        raise StoreDamaged(f"{path} is damaged: {error}.", hint=WAY_OUT) from error


def _this_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # no event loop runs in this thread
        return None
