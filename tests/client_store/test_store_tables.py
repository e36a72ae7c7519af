"""Records survive, and transactions are all or nothing."""

from pathlib import Path

import pytest
from pydantic import BaseModel

from syncapi.client.store.store import Store


class Note(BaseModel):
    text: str


def test_records_survive_closing(tmp_path: Path) -> None:
    with Store.open(tmp_path / "s") as store:
        notes = store.table("notes", Note)
        notes.put("b", Note(text="2"))
        notes.put("a", Note(text="1"))
    with Store.open(tmp_path / "s") as store:
        notes = store.table("notes", Note)
        assert list(notes.items()) == [("a", Note(text="1")), ("b", Note(text="2"))]
        assert notes.get("c") is None


def test_a_failed_transaction_leaves_nothing(tmp_path: Path) -> None:
    with Store.open(tmp_path / "s") as store:
        notes = store.table("notes", Note)

        def interrupted() -> None:
            with store.transaction():
                notes.put("a", Note(text="1"))
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert notes.count() == 0
