"""Records: models of pydantic by key, in key order."""

from collections.abc import Iterator
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError

from syncapi.client.errors import StoreDamaged
from syncapi.client.store.database import WAY_OUT, Database

M = TypeVar("M", bound=BaseModel)

_PAGE = 1000  # rows in memory at a time


class Table(Generic[M]):
    """The records of one name. Outside of a transaction every change is one."""

    def __init__(self, database: Database, name: str, model: type[M]) -> None:
        self._database = database
        self._name = name
        self._model = model

    def get(self, key: str) -> M | None:
        rows = self._database.query(
            "SELECT value FROM records WHERE table_name = ? AND key = ?", (self._name, key)
        )
        return self._open(key, rows[0][0]) if rows else None

    def put(self, key: str, value: M) -> None:
        """Add or replace a record. The key is not empty."""
        self._database.change(
            "INSERT OR REPLACE INTO records VALUES (?, ?, ?)",
            (self._name, key, value.model_dump_json().encode()),
        )

    def delete(self, key: str) -> None:
        """Take a record away; one that is not there is fine."""
        self._database.change(
            "DELETE FROM records WHERE table_name = ? AND key = ?", (self._name, key)
        )

    def clear(self) -> None:
        self._database.change("DELETE FROM records WHERE table_name = ?", (self._name,))

    def count(self) -> int:
        (row,) = self._database.query(
            "SELECT count(*) FROM records WHERE table_name = ?", (self._name,)
        )
        return int(row[0])

    def items(self) -> Iterator[tuple[str, M]]:
        """In key order. The caller may write meanwhile; only later pages show it."""
        after = ""
        while True:
            rows = self._database.query(
                "SELECT key, value FROM records WHERE table_name = ? AND key > ?"
                " ORDER BY key LIMIT ?",
                (self._name, after, _PAGE),
            )
            for key, value in rows:
                yield key, self._open(key, value)
            if len(rows) < _PAGE:
                return
            after = rows[-1][0]

    def values(self) -> Iterator[M]:
        return (value for _, value in self.items())

    def _open(self, key: str, value: bytes) -> M:
        try:
            return self._model.model_validate_json(value)
        except ValidationError as error:
            raise StoreDamaged(
                f"{self._database.path}: record {key} of {self._name} is damaged: {error}.",
                hint=WAY_OUT,
            ) from error
