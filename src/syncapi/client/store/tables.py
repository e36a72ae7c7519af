"""Records: models of pydantic by key, in key order."""

from collections.abc import Iterator
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError

from syncapi.client.store.records import Records

M = TypeVar("M", bound=BaseModel)


class Table(Generic[M]):
    """The records of one name. Outside of a transaction every change is one."""

    def __init__(self, records: Records, name: str, model: type[M]) -> None:
        self._records = records
        self._name = name
        self._model = model

    def get(self, key: str) -> M | None:
        value = self._records.get(self._name, key)
        return None if value is None else self._parse(key, value)

    def put(self, key: str, value: M) -> None:
        """Add or replace a record. The key is not empty, and is never encrypted."""
        self._records.put(self._name, key, value.model_dump_json().encode())

    def delete(self, key: str) -> None:
        """Take a record away; one that is not there is fine."""
        self._records.delete(self._name, key)

    def clear(self) -> None:
        self._records.clear(self._name)

    def count(self) -> int:
        return self._records.count(self._name)

    def items(self) -> Iterator[tuple[str, M]]:
        """In key order, read 1000 at a time. The caller may write: what is read later shows it."""
        return ((key, self._parse(key, value)) for key, value in self._records.walk(self._name))

    def values(self) -> Iterator[M]:
        return (value for _, value in self.items())

    def _parse(self, key: str, value: bytes) -> M:
        try:
            return self._model.model_validate_json(value)
        except ValidationError as error:
            raise self._records.damaged(self._name, key, error) from error
