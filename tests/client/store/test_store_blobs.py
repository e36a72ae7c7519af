"""Contents: kept once by their hash, written by way of sinks that go on after a crash."""

import hashlib
import io
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest
from typing_extensions import override

from fixtures.stores import Crash, Crashes, add
from syncapi.client import durable
from syncapi.client.errors import SourceChanged, StoreDamaged
from syncapi.client.store.keys import FileKey, Key
from syncapi.client.store.store import Store
from syncapi.client.store.streams import CHUNK
from syncapi.client.transfer.contents import BytesContent, FileContent, digest_of

BIG = hashlib.shake_256(b"big").digest(5 * CHUNK + 123)
SHA256 = hashlib.sha256(BIG).hexdigest()


def _read(store: Store, plain: bytes) -> bytes:
    with store.blobs.content(hashlib.sha256(plain).hexdigest(), len(plain)).open() as stream:
        return stream.read()


def _files(store: Store) -> list[Path]:
    return sorted((store._folder / "blobs").iterdir())


def test_equal_bytes_are_kept_once(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(BIG)
    digest = add(store.blobs, FileContent(tmp_path / "file"))
    assert digest == digest_of(BytesContent(BIG))
    (before,) = _files(store)
    stat = before.stat()
    assert add(store.blobs, BytesContent(BIG)) == digest
    assert [path.stat() for path in _files(store)] == [stat]
    assert store.blobs.has(SHA256)
    assert _read(store, BIG) == BIG


def test_a_copy_and_a_download_of_the_same_bytes_leave_one_another_alone(store: Store) -> None:
    download = store.blobs.sink(SHA256)
    download.restart()
    download.write(BIG[:CHUNK])
    add(store.blobs, BytesContent(BIG))
    download.write(BIG[CHUNK:])
    assert _read(store, BIG) == BIG
    download.place()
    assert _read(store, BIG) == BIG
    assert store.check() == []


def test_what_a_copy_left_goes_when_nobody_makes_one(store: Store) -> None:
    add(store.blobs, BytesContent(BIG))
    (blob,) = _files(store)
    blob.with_name(f"{blob.name}.add.part").write_bytes(b"left")
    store.blobs.tidy({SHA256}, set)
    assert _files(store) == [blob]


class _Watched:
    """A content that says when its bytes are read a second time, to be copied."""

    size = len(BIG)

    def __init__(self, on_copy: Callable[[], None]) -> None:
        self._on_copy = on_copy
        self._opened = 0

    def open(self) -> BinaryIO:
        self._opened += 1
        if self._opened == 2:
            return _Trigger(BIG, self._on_copy)
        return io.BytesIO(BIG)


class _Trigger(io.BytesIO):
    def __init__(self, data: bytes, on_end: Callable[[], None]) -> None:
        super().__init__(data)
        self._on_end = on_end

    @override
    def read(self, size: int | None = -1, /) -> bytes:
        block = super().read(size)
        if not block:
            self._on_end()
        return block


def test_what_a_copy_left_goes_when_the_next_one_is_made(store: Store) -> None:
    add(store.blobs, BytesContent(b"first"))
    (first,) = _files(store)
    first.with_name(f"{'0' * 64}.add.part").write_bytes(b"left")
    add(store.blobs, BytesContent(BIG))
    assert len(_files(store)) == 2


def test_two_at_once_who_add_the_same(store: Store) -> None:
    """The second one finds it, though it looked before the first was done."""
    opened: list[int] = []

    class Other:
        size = len(BIG)

        def open(self) -> BinaryIO:
            opened.append(1)
            return io.BytesIO(BIG)

    threads = [threading.Thread(target=add, args=(store.blobs, Other())) for _ in range(4)]

    def others() -> None:
        for thread in threads:
            thread.start()
        while len(opened) < 4:  # each has read it once, to look for it
            time.sleep(0.01)

    add(store.blobs, _Watched(others))
    for thread in threads:
        thread.join()
    assert len(opened) == 4
    assert _read(store, BIG) == BIG


def test_a_copy_that_is_being_made_is_left_alone(store: Store) -> None:
    seen: list[list[Path]] = []

    def tidy() -> None:
        store.blobs.tidy(set(), set)
        seen.append(_files(store))

    add(store.blobs, _Watched(tidy))
    assert [[path.suffixes for path in files] for files in seen] == [[[".add", ".part"]]]
    assert _read(store, BIG) == BIG


def test_contents_survive_closing(tmp_path: Path, key: Key | None) -> None:
    with Store.open(tmp_path / "s", key=key) as store:
        add(store.blobs, BytesContent(BIG))
    with Store.open(tmp_path / "s", key=key) as store:
        assert _read(store, BIG) == BIG
        assert store.check() == []


def test_a_content_that_is_gone_or_of_another_size_is_told(store: Store) -> None:
    with pytest.raises(StoreDamaged, match="is gone") as caught:
        store.blobs.content(SHA256, 5).open()
    assert "server" in (caught.value.hint or "")
    add(store.blobs, BytesContent(BIG))
    with pytest.raises(StoreDamaged, match="instead of 5"):
        store.blobs.content(SHA256, 5).open()


def test_removing_and_keeping_only_some(store: Store) -> None:
    digests = {add(store.blobs, BytesContent(text)).sha256_hash for text in (b"a", b"b", b"c")}
    assert set(store.blobs.digests()) == digests
    gone = hashlib.sha256(b"a").hexdigest()
    store.blobs.remove(gone)
    store.blobs.remove(gone)
    assert set(store.blobs.digests()) == digests - {gone}
    wanted = hashlib.sha256(b"b").hexdigest()
    unfinished, unwanted = store.blobs.sink(SHA256), store.blobs.sink("0" * 64)
    for sink in (unfinished, unwanted):
        sink.restart()
        sink.write(BIG)
    store.blobs.tidy({wanted, SHA256}, set)
    assert set(store.blobs.digests()) == {wanted}
    assert store.blobs.sink(SHA256).held() > 0
    assert store.blobs.sink("0" * 64).held() == 0
    store.blobs.tidy(set(), set)
    assert _files(store) == []


class _Changing:
    """Other bytes each time."""

    def __init__(self) -> None:
        self.size = 8
        self._times = 0

    def open(self) -> BinaryIO:
        self._times += 1
        return io.BytesIO(self._times.to_bytes(8))


def test_a_file_that_changes_while_it_is_read_is_told_and_not_kept(store: Store) -> None:
    with pytest.raises(SourceChanged):
        add(store.blobs, _Changing())
    assert _files(store) == []


@pytest.mark.parametrize("piece", [1000, CHUNK, 3 * CHUNK - 1, len(BIG)])
def test_a_sink_takes_pieces_of_any_size(store: Store, piece: int) -> None:
    sink = store.blobs.sink(SHA256)
    sink.restart()
    for start in range(0, len(BIG), piece):
        assert sink.held() == start
        sink.write(BIG[start : start + piece])
    assert b"".join(sink.read_held()) == BIG
    sink.finish()
    assert not store.blobs.has(SHA256)
    sink.place()
    assert _read(store, BIG) == BIG
    assert len(_files(store)) == 1


@pytest.mark.parametrize("size", [0, 10, CHUNK, CHUNK + 1, 4 * CHUNK + 7])
def test_a_sink_goes_on_where_an_earlier_one_ended(store: Store, size: int) -> None:
    first = store.blobs.sink(SHA256)
    first.restart()
    first.write(BIG[:size])
    second = store.blobs.sink(SHA256)
    promised = second.held()
    held = b"".join(second.read_held())
    assert second.held() == promised == len(held)
    assert held == BIG[: len(held)]
    assert len(held) > size - CHUNK - 1
    second.write(BIG[len(held) :])
    second.place()
    assert _read(store, BIG) == BIG
    assert store.check() == []


def test_a_sink_goes_on_without_reading_what_is_held(store: Store) -> None:
    first = store.blobs.sink(SHA256)
    first.restart()
    first.write(BIG[: 3 * CHUNK])
    second = store.blobs.sink(SHA256)
    second.write(BIG[second.held() :])
    second.place()
    assert _read(store, BIG) == BIG


def test_a_finished_sink_that_was_never_placed_is_gone_on_with(store: Store) -> None:
    first = store.blobs.sink(SHA256)
    first.restart()
    first.write(BIG)
    first.finish()
    second = store.blobs.sink(SHA256)
    held = b"".join(second.read_held())
    second.write(BIG[len(held) :])
    second.place()
    assert _read(store, BIG) == BIG


def test_a_sink_may_begin_again_after_it_was_finished(store: Store) -> None:
    sink = store.blobs.sink(SHA256)
    sink.restart()
    sink.write(b"wrong")
    sink.finish()
    sink.restart()
    assert sink.held() == 0
    sink.write(BIG)
    sink.place()
    assert _read(store, BIG) == BIG


def test_a_discarded_sink_leaves_no_trace(store: Store) -> None:
    sink = store.blobs.sink(SHA256)
    sink.restart()
    sink.write(BIG)
    sink.discard()
    assert _files(store) == []
    assert store.blobs.sink(SHA256).held() == 0


def test_torn_chunks_of_an_earlier_attempt_are_left_out(tmp_path: Path) -> None:
    with Store.open(tmp_path / "s", key=FileKey(tmp_path / "key")) as store:
        first = store.blobs.sink(SHA256)
        first.restart()
        first.write(BIG[: 4 * CHUNK + 1])
        (part,) = _files(store)
        sealed = bytearray(part.read_bytes())
        sealed[-5:] = bytes(5)  # as a power cut leaves it: the size is there, the bytes are not
        part.write_bytes(sealed)
        second = store.blobs.sink(SHA256)
        held = b"".join(second.read_held())
        assert held == BIG[: 3 * CHUNK]
        second.write(BIG[len(held) :])
        second.place()
        assert _read(store, BIG) == BIG


def test_a_nonce_is_never_used_for_other_bytes(tmp_path: Path) -> None:
    """What an attempt after a crash writes has a new salt, thus a new key."""
    with Store.open(tmp_path / "s", key=FileKey(tmp_path / "key")) as store:
        salts = set()
        for _ in range(3):
            sink = store.blobs.sink(SHA256)
            sink.write(BIG[sink.held() : sink.held() + CHUNK])
            (part,) = _files(store)
            salts.add(part.read_bytes()[16:48])
        assert len(salts) == 3


def test_nothing_of_an_encrypted_content_is_ever_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even in temporary files: looked for in every file at every fsync and rename."""
    secret = b"a secret sentence that is easy to find; " * 5000
    folder = tmp_path / "s"
    looked = []

    def look() -> None:
        for path in [path for path in folder.rglob("*") if path.is_file()]:
            looked.append(path.name)
            assert secret[:40] not in path.read_bytes()

    real_sync, real_replace = durable.sync_file, durable.replace

    def sync_file(descriptor: int) -> None:
        look()
        real_sync(descriptor)

    def replace(source: Path, target: Path) -> None:
        look()
        real_replace(source, target)
        look()

    with Store.open(folder, key=FileKey(tmp_path / "key")) as store:
        monkeypatch.setattr(durable, "sync_file", sync_file)
        monkeypatch.setattr(durable, "replace", replace)
        digest = add(store.blobs, BytesContent(secret))
        sink = store.blobs.sink(SHA256)
        sink.write(secret)
        again = store.blobs.sink(SHA256)
        again.write(secret)
        again.finish()
        look()
        assert store.blobs.has(digest.sha256_hash)
    assert any(name.endswith(".part") for name in looked)


def test_a_crash_at_any_write_of_a_content_leaves_it_or_not(
    tmp_path: Path, key: Key | None, crashes: Crashes
) -> None:
    def attempt(folder: Path) -> None:
        with Store.open(folder, key=key) as store:
            crashes.at(None)
            add(store.blobs, BytesContent(BIG))

    attempt(tmp_path / "whole")
    for step in range(crashes.steps):
        folder = tmp_path / str(step)
        with Store.open(folder, key=key) as store:
            crashes.at(step)
            with pytest.raises(Crash):
                add(store.blobs, BytesContent(BIG))
            crashes.at(None)
        with Store.open(folder, key=key) as store:
            assert store.check() == []
            add(store.blobs, BytesContent(BIG))
            assert _read(store, BIG) == BIG
            store.blobs.tidy({SHA256}, set)
            assert len(_files(store)) == 1


def test_only_the_owner_may_look(store: Store) -> None:
    add(store.blobs, BytesContent(BIG))
    assert store._folder.stat().st_mode & 0o777 == 0o700
    assert (store._folder / "blobs").stat().st_mode & 0o777 == 0o700
    assert (store._folder / "store.sqlite").stat().st_mode & 0o777 == 0o600
