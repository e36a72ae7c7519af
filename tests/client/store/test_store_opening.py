"""A store opens with its key, survives crashes while it is made, and tells what is wrong."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from fixtures.stores import CHEAP, Crash, Crashes, MakeKey, Note
from syncapi.client.errors import StoreDamaged, StoreError, WrongKey
from syncapi.client.store import database
from syncapi.client.store.keys import FileKey, Key, KeyringKey, PassphraseKey
from syncapi.client.store.migrations import MIGRATIONS
from syncapi.client.store.store import Store


def _filled(folder: Path, key: Key | None) -> Path:
    """A store with a record that is large enough to have pages of its own."""
    with Store.open(folder, key=key) as store:
        store.table("notes", Note).put("a", Note(text="tell nobody " * 1000))
    return folder / "store.sqlite"


def test_the_right_key_opens_it_and_the_disk_tells_nothing(
    tmp_path: Path, make_key: MakeKey
) -> None:
    path = _filled(tmp_path / "s", make_key("right"))
    with Store.open(tmp_path / "s", key=make_key("right")) as store:
        assert store.is_encrypted
        assert store.table("notes", Note).get("a") == Note(text="tell nobody " * 1000)
        assert all(b"tell nobody" not in file.read_bytes() for file in path.parent.glob("*.*"))


def test_a_plain_store_is_json_in_sqlite(tmp_path: Path) -> None:
    path = _filled(tmp_path / "s", None)
    with closing(sqlite3.connect(path)) as connection:
        ((value,),) = connection.execute("SELECT value FROM records").fetchall()
    assert json.loads(value) == {"text": "tell nobody " * 1000}
    with Store.open(tmp_path / "s") as store:
        assert not store.is_encrypted


def test_another_key_is_told(tmp_path: Path, make_key: MakeKey) -> None:
    _filled(tmp_path / "s", make_key("right"))
    _filled(tmp_path / "other", make_key("wrong"))  # a key of that kind which is there
    with pytest.raises(WrongKey, match="does not open it") as caught:
        Store.open(tmp_path / "s", key=make_key("wrong"))
    assert str(tmp_path / "s") in caught.value.message
    assert "initialise it again" in (caught.value.hint or "")


@pytest.mark.usefixtures("memory_keyring")
def test_a_key_that_is_not_there_is_told(tmp_path: Path) -> None:
    for number, (made, missing) in enumerate(
        [
            (FileKey(tmp_path / "key"), FileKey(tmp_path / "none")),
            (KeyringKey("key"), KeyringKey("none")),
        ]
    ):
        _filled(tmp_path / str(number), made)
        with pytest.raises(WrongKey, match="is not there"):
            Store.open(tmp_path / str(number), key=missing)


def test_a_key_of_another_kind_is_told(tmp_path: Path) -> None:
    _filled(tmp_path / "s", FileKey(tmp_path / "key"))
    with pytest.raises(WrongKey, match="opened by a key file, not by this passphrase"):
        Store.open(tmp_path / "s", key=PassphraseKey("any", cost=CHEAP))


def test_a_missing_and_a_needless_key_are_told(tmp_path: Path) -> None:
    _filled(tmp_path / "sealed", FileKey(tmp_path / "key"))
    with pytest.raises(WrongKey, match="is encrypted") as caught:
        Store.open(tmp_path / "sealed")
    assert caught.value.hint == "Give its key file."
    _filled(tmp_path / "plain", None)
    with pytest.raises(WrongKey, match="is not encrypted"):
        Store.open(tmp_path / "plain", key=FileKey(tmp_path / "key"))


def _overwrite_all(path: Path) -> None:
    path.write_bytes(b"no database " * 1000)


def _overwrite_pages(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * len(content[4096:])
    path.write_bytes(content)


def _cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _replace_by_another_database(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE notes (text)")


def _take_the_header_away(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM header")


def _spoil_the_header(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE header SET document = '{\"key\": 5}'")


@pytest.mark.parametrize(
    "damage",
    [
        _overwrite_all,
        _overwrite_pages,
        _cut_off,
        _empty,
        _replace_by_another_database,
        _take_the_header_away,
        _spoil_the_header,
    ],
)
def test_a_damaged_file_is_told_with_its_name_and_the_way_out(
    tmp_path: Path,
    key: Key | None,
    damage: Callable[[Path], None],
) -> None:
    path = _filled(tmp_path / "s", key)
    damage(path)

    def use() -> None:
        with Store.open(tmp_path / "s", key=key) as store:
            list(store.table("notes", Note).items())

    with pytest.raises(StoreDamaged, match=r"store\.sqlite") as caught:
        use()
    assert "initialise it again" in (caught.value.hint or "")


def test_every_changed_byte_of_a_sealed_record_is_noticed(tmp_path: Path) -> None:
    with Store.open(tmp_path / "s", key=FileKey(tmp_path / "key")) as store:
        notes = store.table("notes", Note)
        notes.put("a", Note(text="short"))
        ((sealed,),) = store._database.query("SELECT value FROM records")
        for place in range(len(sealed)):
            changed = bytearray(sealed)
            changed[place] ^= 1
            store._database.change("UPDATE records SET value = ?", (bytes(changed),))
            with pytest.raises(StoreDamaged, match="record 'a' of notes"):
                notes.get("a")


@pytest.mark.parametrize("place", [("notes", "b"), ("others", "a")])
def test_a_sealed_record_in_the_place_of_another_is_noticed(
    tmp_path: Path, place: tuple[str, str]
) -> None:
    with Store.open(tmp_path / "s", key=FileKey(tmp_path / "key")) as store:
        store.table("notes", Note).put("a", Note(text="short"))
        store._database.change("UPDATE records SET table_name = ?, key = ?", place)
        with pytest.raises(StoreDamaged, match="does not open"):
            store.table(place[0], Note).get(place[1])


def test_check_names_what_is_damaged(tmp_path: Path, key: Key | None) -> None:
    with Store.open(tmp_path / "s", key=key) as store:
        notes = store.table("notes", Note)
        notes.put("good", Note(text=""))
        notes.put("bad", Note(text=""))
        assert store.check() == []
        store._database.change("UPDATE records SET value = x'00' WHERE key = 'bad'")
        (tmp_path / "s" / "blobs" / "stranger").write_bytes(b"")
        first, second = store.check()
    assert "record 'bad' of notes" in first
    assert "stranger is no blob" in second


def test_check_tells_of_a_damaged_database(tmp_path: Path, key: Key | None) -> None:
    path = _filled(tmp_path / "s", key)
    with Store.open(tmp_path / "s", key=key) as store:
        ((page,),) = store._database.query(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'records'"
        )
    content = bytearray(path.read_bytes())
    content[(page - 1) * 4096 : (page - 1) * 4096 + 100] = b"\xff" * 100
    path.write_bytes(content)
    with Store.open(tmp_path / "s", key=key) as store:
        assert any("store.sqlite" in text for text in store.check())


@pytest.mark.parametrize("is_sealed", [False, True])
def test_a_crash_while_it_is_made_leaves_nothing_or_all(
    tmp_path: Path, is_sealed: bool, crashes: Crashes
) -> None:
    def attempt(name: str) -> None:
        key = FileKey(tmp_path / f"{name}.key") if is_sealed else None
        with Store.open(tmp_path / name, key=key) as store:
            assert store.check() == []

    attempt("whole")
    assert crashes.steps
    for step in range(crashes.steps):
        crashes.at(step)
        with pytest.raises(Crash):
            attempt(str(step))
        crashes.at(None)
        attempt(str(step))
        assert not list((tmp_path / str(step)).glob("*.new*"))


def test_what_a_killed_process_left_of_an_unfinished_store_is_not_taken_over(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    new = folder / ".store.sqlite.new"
    with closing(sqlite3.connect(new, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(MIGRATIONS[0][0])
        connection.execute("INSERT INTO header VALUES ('', 'of another store')")
        connection.execute("PRAGMA user_version = 1")
        log = (folder / ".store.sqlite.new-wal").read_bytes()
    (folder / ".store.sqlite.new-wal").write_bytes(log)
    with Store.open(folder) as store:
        assert store.check() == []
    assert not list(folder.glob("*.new*"))


_OPENING = """
import sys
from pathlib import Path
sys.stdin.read()
from syncapi.client.store.store import Store
with Store.open(Path(sys.argv[1])) as store:
    store._database.change("INSERT INTO records VALUES ('t', ?, '{}')", (sys.argv[2],))
"""


def test_processes_that_make_it_at_the_same_time_make_one(tmp_path: Path) -> None:
    others = [
        subprocess.Popen(
            [sys.executable, "-c", _OPENING, str(tmp_path / "s"), str(number)],
            stdin=subprocess.PIPE,
        )
        for number in range(4)
    ]
    for other in others:
        assert other.stdin is not None
        other.stdin.close()
    assert [other.wait() for other in others] == [0] * 4
    with Store.open(tmp_path / "s") as store:
        assert store.table("t", Note).count() == 4


def test_a_newer_store_is_told(tmp_path: Path, key: Key | None) -> None:
    path = _filled(tmp_path / "s", key)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    with pytest.raises(StoreDamaged, match="newer syncapi") as caught:
        Store.open(tmp_path / "s", key=key)
    assert "pip install --upgrade" in (caught.value.hint or "")


def test_an_older_store_is_brought_up_to_date(
    tmp_path: Path, key: Key | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    _filled(tmp_path / "s", key)
    step = ("CREATE TABLE added (text)", "INSERT INTO added VALUES ('new')")
    monkeypatch.setattr(database, "MIGRATIONS", (*MIGRATIONS, step))
    for _ in range(2):  # the second time there is nothing to do
        with Store.open(tmp_path / "s", key=key) as store:
            assert store._database.query("SELECT text FROM added") == [("new",)]
            assert store.table("notes", Note).count() == 1
    Store.open(tmp_path / "made now", key=key).close()


def test_a_step_that_fails_leaves_the_older_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _filled(tmp_path / "s", None)
    monkeypatch.setattr(
        database, "MIGRATIONS", (*MIGRATIONS, ("CREATE TABLE added (text)", "nonsense"))
    )
    with pytest.raises(StoreDamaged):
        Store.open(tmp_path / "s")
    monkeypatch.undo()
    with Store.open(tmp_path / "s") as store:
        assert store.table("notes", Note).count() == 1


def test_a_folder_that_may_not_be_written_is_told(
    tmp_path: Path,
) -> None:
    path = _filled(tmp_path / "s", None)
    path.unlink()
    path.mkdir()
    with pytest.raises(StoreError, match=r"store\.sqlite cannot be used"):
        Store.open(tmp_path / "s")


def test_a_plain_store_needs_neither_cryptography_nor_keyring(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from syncapi.client.store.store import Store
from syncapi.client.transfer.contents import BytesContent
with Store.open(Path(sys.argv[1])) as store:
    with store.blobs.adding(BytesContent(b"x")):
        pass
    store.check()
print([name for name in ("cryptography", "keyring") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "s")],
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "[]\n"
