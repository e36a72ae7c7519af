"""Records as bytes: rows of SQLite, sealed or not."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from syncapi.client.errors import StoreBusy, StoreDamaged
from syncapi.client.store.database import WAY_OUT, Database

_PAGE = 1000  # rows in memory at a time


class Cipher(Protocol):
    """How records are sealed."""

    key_id: str

    def seal(self, table: str, key: str, plain: bytes) -> bytes: ...

    def open(self, table: str, key: str, sealed: bytes) -> bytes:
        """The record; ValueError if it does not open."""
        ...


class NoCipher:
    """They are not."""

    key_id = ""

    def seal(self, table: str, key: str, plain: bytes) -> bytes:  # noqa: ARG002 - a Cipher
        return plain

    def open(self, table: str, key: str, sealed: bytes) -> bytes:  # noqa: ARG002 - a Cipher
        return sealed


class Records:
    """The rows of all tables.

    Raises:
        StoreBusy: another process has changed the data key since the store was opened.
        StoreDamaged: a record does not open.
    """

    def __init__(self, database: Database, cipher: Cipher) -> None:
        self._database = database
        self.cipher = cipher

    def get(self, table: str, key: str) -> bytes | None:
        rows = self._database.query(
            "SELECT value FROM records WHERE table_name = ? AND key = ?", (table, key)
        )
        return self._open(table, key, rows[0][0]) if rows else None

    def put(self, table: str, key: str, plain: bytes) -> None:
        # If the key was rotated meanwhile, the header is not found, and nothing is written.
        changed = self._database.change(
            "INSERT OR REPLACE INTO records SELECT ?, ?, ? FROM header WHERE key_id = ?",
            (table, key, self.cipher.seal(table, key, plain), self.cipher.key_id),
        )
        if not changed:
            raise key_has_changed(self._database.path)

    def delete(self, table: str, key: str) -> None:
        self._database.change("DELETE FROM records WHERE table_name = ? AND key = ?", (table, key))

    def clear(self, table: str) -> None:
        self._database.change("DELETE FROM records WHERE table_name = ?", (table,))

    def count(self, table: str) -> int:
        rows = self._database.query("SELECT count(*) FROM records WHERE table_name = ?", (table,))
        return int(rows[0][0])

    def walk(self, table: str) -> Iterator[tuple[str, bytes]]:
        """The records of a table in key order, a page at a time."""
        after = ""
        while True:
            rows = self._database.query(
                "SELECT key, value FROM records WHERE table_name = ? AND key > ?"
                " ORDER BY key LIMIT ?",
                (table, after, _PAGE),
            )
            for key, value in rows:
                yield key, self._open(table, key, value)
            if len(rows) < _PAGE:
                return
            after = rows[-1][0]

    def check(self) -> Iterator[str]:
        """What is wrong, a sentence each: every record is read."""
        for table, key in self._database.query("SELECT table_name, key FROM records"):
            try:
                json.loads(self.get(table, key) or b"null")
            except StoreDamaged as error:
                yield error.message
            except ValueError as error:
                yield self.damaged(table, key, error).message

    def tables(self) -> list[str]:
        rows = self._database.query("SELECT DISTINCT table_name FROM records ORDER BY table_name")
        return [name for (name,) in rows]

    def seal_anew(self, cipher: Cipher) -> None:
        """Seal every record with another key, in a transaction of the caller."""
        for table in self.tables():
            for key, plain in self.walk(table):
                self._database.change(
                    "UPDATE records SET value = ? WHERE table_name = ? AND key = ?",
                    (cipher.seal(table, key, plain), table, key),
                )

    def damaged(self, table: str, key: str, why: object) -> StoreDamaged:
        return StoreDamaged(
            f"{self._database.path} is damaged: record {key!r} of {table}: {why}.", hint=WAY_OUT
        )

    def _open(self, table: str, key: str, value: bytes) -> bytes:
        try:
            return self.cipher.open(table, key, value)
        except ValueError as error:
            if not self._database.query(
                "SELECT 1 FROM header WHERE key_id = ?", (self.cipher.key_id,)
            ):
                raise key_has_changed(self._database.path) from error
            raise self.damaged(table, key, error) from error


def key_has_changed(path: Path) -> StoreBusy:
    return StoreBusy(
        f"Another process has changed the key of {path}.", hint="Open the store again."
    )
