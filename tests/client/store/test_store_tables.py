"""Records survive, and transactions are all or nothing."""

import asyncio
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures.stores import Crash, Note
from syncapi.client.errors import StoreBusy, StoreDamaged, StoreError
from syncapi.client.store import database
from syncapi.client.store.keys import FileKey, Key
from syncapi.client.store.store import Store
from syncapi.client.store.tables import Table


def test_records_survive_closing(tmp_path: Path, key: Key | None) -> None:
    with Store.open(tmp_path / "s", key=key) as store:
        notes = store.table("notes", Note)
        notes.put("b", Note(text="2"))
        notes.put("a", Note(text="ä"))
    with Store.open(tmp_path / "s", key=key) as store:
        notes = store.table("notes", Note)
        assert list(notes.items()) == [("a", Note(text="ä")), ("b", Note(text="2"))]
        assert notes.get("c") is None


def test_tables_are_apart(store: Store) -> None:
    one, other = store.table("one", Note), store.table("other", Note)
    one.put("a", Note(text="1"))
    other.put("a", Note(text="2"))
    one.clear()
    assert (one.count(), other.count()) == (0, 1)
    assert other.get("a") == Note(text="2")


def test_more_records_than_a_page_come_in_order_and_may_be_changed_on_the_way(
    store: Store,
) -> None:
    notes = store.table("notes", Note)
    keys = [f"{number:05d}" for number in range(2500)]
    with store.transaction():
        for key in reversed(keys):
            notes.put(key, Note(text=key))
    seen = []
    with store.transaction():
        for key, note in notes.items():
            seen.append((key, note.text))
            notes.delete(key)
    assert seen == [(key, key) for key in keys]
    assert notes.count() == 0


_KEYS = st.sampled_from(["a", "b", "ß", "a/b", "0"])
_OPERATION = st.one_of(
    st.tuples(st.just("put"), _KEYS, st.text(max_size=20)),
    st.tuples(st.just("delete"), _KEYS),
    st.tuples(st.just("clear")),
)
_OPERATIONS = st.lists(
    st.recursive(
        _OPERATION,
        lambda inner: st.tuples(
            st.just("transaction"), st.booleans(), st.lists(inner, max_size=5)
        ),
        max_leaves=10,
    ),
    max_size=12,
)


class _Undone(BaseException):
    pass


def _run(operations: list[Any], notes: Table[Note], store: Store, model: dict[str, str]) -> None:
    """Do the same to the store and to a dict; a transaction that fails is caught around it."""
    for operation in operations:
        match operation:
            case ("put", key, text):
                notes.put(key, Note(text=text))
                model[key] = text
            case ("delete", key):
                notes.delete(key)
                model.pop(key, None)
            case ("clear",):
                notes.clear()
                model.clear()
            case ("transaction", fails, inner):
                _run_transaction(inner, notes, store, model, fails=fails)
        assert {key: note.text for key, note in notes.items()} == model
        assert [key for key, _ in notes.items()] == sorted(model)
        assert notes.count() == len(model)


def _run_transaction(
    inner: list[Any],
    notes: Table[Note],
    store: Store,
    model: dict[str, str],
    *,
    fails: bool,
) -> None:
    before = dict(model)
    with suppress(_Undone), store.transaction():
        _run(inner, notes, store, model)
        if fails:
            model.clear()
            model.update(before)
            raise _Undone


@pytest.mark.parametrize("is_sealed", [False, True])
@settings(max_examples=40, deadline=None)
@given(operations=_OPERATIONS)
def test_a_table_is_a_dict_with_transactions(is_sealed: bool, operations: list[Any]) -> None:
    with TemporaryDirectory() as folder:
        key = FileKey(Path(folder) / "key") if is_sealed else None
        model: dict[str, str] = {}
        with Store.open(Path(folder) / "s", key=key) as store:
            _run(operations, store.table("notes", Note), store, model)
        with Store.open(Path(folder) / "s", key=key) as store:
            kept = {key: note.text for key, note in store.table("notes", Note).items()}
        assert kept == model


def test_a_crash_at_the_commit_leaves_all_or_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = store.table("notes", Note)
    real = Store._commit

    def before(_: Store) -> None:
        raise Crash

    def after(committing: Store) -> None:
        real(committing)
        raise Crash

    monkeypatch.setattr(Store, "_commit", before)
    with pytest.raises(Crash):
        notes.put("before", Note(text=""))
    monkeypatch.setattr(Store, "_commit", after)
    with pytest.raises(Crash):
        notes.put("after", Note(text=""))
    assert [key for key, _ in notes.items()] == ["after"]


async def test_a_transaction_that_is_held_over_an_await_is_not_joined(store: Store) -> None:
    notes = store.table("notes", Note)
    begun = asyncio.Event()
    done = asyncio.Event()

    async def hold() -> None:
        with store.transaction():
            begun.set()
            await done.wait()

    holder = asyncio.create_task(hold())
    await begun.wait()
    with pytest.raises(RuntimeError, match="held over an await"):
        notes.put("a", Note(text=""))
    with pytest.raises(RuntimeError, match="held over an await"):
        notes.get("a")
    done.set()
    await holder
    notes.put("a", Note(text=""))
    assert notes.count() == 1


def test_threads_take_turns(store: Store) -> None:
    notes = store.table("notes", Note)
    notes.put("sum", Note(text="0"))

    def add() -> None:
        for _ in range(20):
            with store.transaction():
                note = notes.get("sum")
                assert note is not None
                notes.put("sum", Note(text=str(int(note.text) + 1)))

    threads = [Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert notes.get("sum") == Note(text="80")


_OTHER_WRITER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("writing", flush=True)
sys.stdin.read()
"""


def test_another_process_that_writes_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "WAIT_FOR_OTHERS", 0.05)
    with Store.open(tmp_path / "s") as store:
        notes = store.table("notes", Note)
        with subprocess.Popen(
            [sys.executable, "-c", _OTHER_WRITER, str(tmp_path / "s" / "store.sqlite")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == b"writing\n"
            with pytest.raises(StoreBusy, match=r"writing to .*store\.sqlite"):
                notes.put("a", Note(text=""))
            assert other.stdin is not None
            other.stdin.close()
        notes.put("a", Note(text=""))


def test_a_record_that_is_no_such_model_is_told(store: Store) -> None:
    store.table("notes", Note).put("a", Note(text=""))

    class Other(Note):
        number: int

    with pytest.raises(StoreDamaged, match="record 'a' of notes") as caught:
        store.table("notes", Other).get("a")
    assert "server" in (caught.value.hint or "")


def test_a_full_disk_is_told(store: Store) -> None:
    notes = store.table("notes", Note)
    pages = store._database.query("PRAGMA page_count")[0][0]
    store._database.query(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(StoreError, match=r"store\.sqlite cannot be used") as caught:
        notes.put("big", Note(text="x" * 100_000))
    assert "room" in (caught.value.hint or "")
    notes.put("small", Note(text=""))
    assert notes.count() == 1


def test_nothing_is_written_alone_after_sqlite_has_given_up_a_transaction(store: Store) -> None:
    notes = store.table("notes", Note)

    def write() -> None:
        with store.transaction():
            notes.put("a", Note(text=""))
            store._database.query("ROLLBACK")  # as SQLite does by itself where a disk is full
            notes.put("b", Note(text=""))

    with pytest.raises(StoreError, match="failed"):
        write()
    assert notes.count() == 0


def test_what_was_deleted_is_not_left_in_the_file(tmp_path: Path) -> None:
    with Store.open(tmp_path / "s") as store:
        notes = store.table("notes", Note)
        notes.put("a", Note(text="to be forgotten"))
        notes.put("b", Note(text="kept"))
    with Store.open(tmp_path / "s") as store:
        store.table("notes", Note).delete("a")
    content = (tmp_path / "s" / "store.sqlite").read_bytes()
    assert b"kept" in content
    assert b"forgotten" not in content


def test_a_commit_is_on_the_disk_when_it_returns(store: Store) -> None:
    assert store._database.query("PRAGMA synchronous") == [(2,)]  # FULL; only a power cut shows it
    assert store._database.query("PRAGMA journal_mode") == [("wal",)]
