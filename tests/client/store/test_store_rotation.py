"""A new key: everything is sealed anew, whatever happens on the way, and the old one is no use."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.stores import Crash, Crashes, MakeKey, Note, add
from syncapi.client.errors import StoreBusy, StoreDamaged, StoreError, WrongKey
from syncapi.client.store import sealed_records
from syncapi.client.store.envelope import DataKey
from syncapi.client.store.header import read_header
from syncapi.client.store.keys import FileKey, Key
from syncapi.client.store.lock import rebuilding
from syncapi.client.store.store import Store
from syncapi.client.transfer.contents import BytesContent, digest_of

CONTENTS = [os.urandom(size) for size in (0, 10, 70_000, 200_000)]


def _fill(store: Store) -> None:
    with store.transaction():
        for number in range(5):
            store.table("notes", Note).put(str(number), Note(text=f"note {number}"))
        store.table("others", Note).put("a", Note(text="other"))
    for content in CONTENTS:
        add(store.blobs, BytesContent(content))


def _verify(store: Store) -> None:
    assert [note.text for note in store.table("notes", Note).values()] == [
        f"note {number}" for number in range(5)
    ]
    assert store.table("others", Note).get("a") == Note(text="other")
    for content in CONTENTS:
        digest = digest_of(BytesContent(content))
        assert store.blobs.has(digest.sha256_hash)
        with store.blobs.content(digest.sha256_hash, len(content)).open() as stream:
            assert stream.read() == content
    assert len(set(store.blobs.digests())) == len(CONTENTS)


def _data_key(folder: Path, key: Key) -> DataKey:
    with Store.open(folder, key=key) as store:
        wrapped = read_header(store._database).key
        assert wrapped is not None
        return key.unwrap(wrapped)


def test_after_a_rotation_only_the_new_key_opens_it(tmp_path: Path, make_key: MakeKey) -> None:
    old, new = make_key("old"), make_key("new")
    assert old is not None
    assert new is not None
    with Store.open(tmp_path / "s", key=old) as store:
        _fill(store)
        notes = store.table("notes", Note)
        before = _names(tmp_path / "s")
        store.rotate(new)
        _verify(store)
        notes.put("5", Note(text="a table from before writes with the new key"))
        notes.delete("5")
    with pytest.raises(WrongKey):
        Store.open(tmp_path / "s", key=old)
    with Store.open(tmp_path / "s", key=new) as store:
        _verify(store)
        assert store.check() == []
    assert not before & _names(tmp_path / "s")


def _names(folder: Path) -> set[str]:
    return {path.name for path in (folder / "blobs").iterdir()}


def test_the_old_data_key_opens_nothing_and_is_nowhere_on_the_disk(tmp_path: Path) -> None:
    old, new = FileKey(tmp_path / "old"), FileKey(tmp_path / "new")
    with Store.open(tmp_path / "s", key=old) as store:
        _fill(store)
    stolen = _data_key(tmp_path / "s", old)
    with Store.open(tmp_path / "s", key=old) as store:
        wrapped = read_header(store._database).key
        assert wrapped is not None
        store.rotate(new)
        files = [path for path in (tmp_path / "s").rglob("*") if path.is_file()]
        for path in files:  # while it is open, so with the log
            assert wrapped.sealed.encode() not in path.read_bytes()
            assert bytes.fromhex(stolen.id) not in path.read_bytes()
        cipher = sealed_records.RecordCipher(stolen)
        for table, key, value in store._database.query("SELECT * FROM records"):
            with pytest.raises(ValueError, match="does not open"):
                cipher.open(table, key, value)


def test_changing_the_key_seals_nothing_anew(tmp_path: Path, make_key: MakeKey) -> None:
    old, new = make_key("old"), make_key("new")
    assert new is not None
    with Store.open(tmp_path / "s", key=old) as store:
        _fill(store)
        before = _names(tmp_path / "s"), store._database.query("SELECT * FROM records")
        store.change_key(new)
        assert (_names(tmp_path / "s"), store._database.query("SELECT * FROM records")) == before
        _verify(store)
    with pytest.raises(WrongKey):
        Store.open(tmp_path / "s", key=old)
    with Store.open(tmp_path / "s", key=new) as store:
        _verify(store)


def test_the_key_may_change_its_kind(tmp_path: Path, make_key: MakeKey) -> None:
    new = FileKey(tmp_path / "new")
    with Store.open(tmp_path / "s", key=make_key("old")) as store:
        _fill(store)
        store.change_key(new)
    with Store.open(tmp_path / "s", key=new) as store:
        _verify(store)


def test_a_plain_store_has_no_key_to_change(tmp_path: Path) -> None:
    with Store.open(tmp_path / "s") as store:
        for change in (store.rotate, store.change_key):
            with pytest.raises(StoreError, match="not encrypted"):
                change(FileKey(tmp_path / "key"))


@pytest.mark.parametrize("how", ["rotate", "change_key"])
def test_a_crash_at_any_step_is_recovered_from(tmp_path: Path, crashes: Crashes, how: str) -> None:
    old = FileKey(tmp_path / "old")
    with Store.open(tmp_path / "filled", key=old) as store:
        _fill(store)

    def attempt(name: str, step: int | None) -> None:
        shutil.copytree(tmp_path / "filled", tmp_path / name)
        with Store.open(tmp_path / name, key=old) as store:
            crashes.at(step)
            getattr(store, how)(FileKey(tmp_path / f"{name}.new"))

    attempt("whole", None)
    for step in range(crashes.steps):
        name = str(step)
        with pytest.raises(Crash):
            attempt(name, step)
        crashes.at(None)
        key = _key_that_opens(tmp_path / name, tmp_path / "old", tmp_path / f"{name}.new")
        with Store.open(tmp_path / name, key=key) as store:
            _verify(store)
            assert store.check() == []
            assert len(_names(tmp_path / name)) == len(CONTENTS)
            assert read_header(store._database).retiring is None


_KILLED = """
import os, signal, sys
from pathlib import Path
from syncapi.client import durable
from syncapi.client.store.keys import FileKey
from syncapi.client.store.store import Store

folder = Path(sys.argv[1])
left = int(sys.argv[2])
real = durable.replace

def replace(source, target):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    real(source, target)

with Store.open(folder / "s", key=FileKey(folder / "old")) as store:
    new = FileKey(folder / "new")
    durable.replace = replace
    store.rotate(new)
"""


@pytest.mark.parametrize("renames", [0, 1, 3])
def test_a_process_that_is_killed_is_recovered_from(tmp_path: Path, renames: int) -> None:
    with Store.open(tmp_path / "s", key=FileKey(tmp_path / "old")) as store:
        _fill(store)
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, str(tmp_path), str(renames)], check=False
    )
    assert killed.returncode == -signal.SIGKILL
    key = _key_that_opens(tmp_path / "s", tmp_path / "old", tmp_path / "new")
    with Store.open(tmp_path / "s", key=key) as store:
        _verify(store)
        assert store.check() == []


def _key_that_opens(folder: Path, old: Path, new: Path) -> Key:
    """Exactly one of them does."""
    opening = []
    for path in (old, new):
        try:
            Store.open(folder, key=FileKey(path)).close()
            opening.append(FileKey(path))
        except WrongKey:
            pass
    (key,) = opening
    return key


def test_a_crash_in_the_recovery_is_recovered_from(tmp_path: Path, crashes: Crashes) -> None:
    old, new = FileKey(tmp_path / "old"), FileKey(tmp_path / "new")
    with Store.open(tmp_path / "s", key=old) as store:
        _fill(store)
        crashes.at(None)
        store.rotate(new)
        last = crashes.steps
    with Store.open(tmp_path / "s", key=new) as store:
        crashes.at(last // 4)
        with pytest.raises(Crash):
            store.rotate(old)
    for _ in range(last):
        crashes.at(6)
        try:
            Store.open(tmp_path / "s", key=old).close()
        except Crash:
            continue
        break
    crashes.at(None)
    with Store.open(tmp_path / "s", key=old) as store:
        _verify(store)
        assert store.check() == []


def _cut_short(folder: Path, old: Key, new: Key, crashes: Crashes) -> None:
    """Have a rotation end when a part of the blobs is moved."""
    with Store.open(folder, key=old) as store:
        _fill(store)
        crashes.at(30)
        with pytest.raises(Crash):
            store.rotate(new)
        crashes.at(None)


def test_while_another_process_finishes_a_rotation_everything_is_read(
    tmp_path: Path, crashes: Crashes
) -> None:
    old, new = FileKey(tmp_path / "old"), FileKey(tmp_path / "new")
    _cut_short(tmp_path / "s", old, new, crashes)
    with rebuilding(tmp_path / "s", wait=0):
        store = Store.open(tmp_path / "s", key=new)
    with store:
        assert read_header(store._database).retiring is not None
        _verify(store)
        add(store.blobs, BytesContent(b"new"))
        store.rotate(FileKey(tmp_path / "third"))
        store.blobs.remove(digest_of(BytesContent(b"new")).sha256_hash)
        _verify(store)
        assert store.check() == []


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    with Store.open(tmp_path / "s", key=FileKey(tmp_path / "key")) as store:
        with rebuilding(tmp_path / "s", wait=0), pytest.raises(StoreBusy, match="its key"):
            store.rotate(FileKey(tmp_path / "new"))
        store.rotate(FileKey(tmp_path / "new"))


def test_a_store_that_was_opened_before_notices(tmp_path: Path) -> None:
    old, new = FileKey(tmp_path / "old"), FileKey(tmp_path / "new")
    with (
        Store.open(tmp_path / "s", key=old) as stale,
        Store.open(tmp_path / "s", key=old) as store,
    ):
        _fill(store)
        store.rotate(new)
        notes = stale.table("notes", Note)
        with pytest.raises(StoreBusy, match="changed the key"):
            notes.put("a", Note(text="under the old key"))
        with pytest.raises(StoreBusy, match="changed the key"):
            notes.get("0")
        with pytest.raises(StoreBusy, match="changed the key"):
            stale.change_key(old)
        with pytest.raises(StoreBusy, match="changed the key"):
            stale.rotate(old)
        stale.blobs.tidy(set(), set)  # knows none of them, and must not think them waste
        _verify(store)
        assert store.check() == []


def test_a_damaged_blob_does_not_hold_up_the_others(tmp_path: Path) -> None:
    with Store.open(tmp_path / "s", key=FileKey(tmp_path / "old")) as store:
        _fill(store)
        lost = add(store.blobs, BytesContent(b"lost"))
        path = store.blobs.content(lost.sha256_hash, 4).places[0][0]
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
        store.rotate(FileKey(tmp_path / "new"))
        (finding,) = store.check()
        assert path.name in finding
        with pytest.raises(StoreDamaged):
            store.blobs.content(lost.sha256_hash, 4).open()
        path.unlink()
        assert store.check() == []
        _verify(store)
