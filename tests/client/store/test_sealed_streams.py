"""Sealed blobs: read from any place, and every change of them is noticed."""

import hashlib
import io
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures.stores import add
from syncapi.client.errors import StoreDamaged
from syncapi.client.store.blobs import Blobs
from syncapi.client.store.envelope import DataKey
from syncapi.client.store.sealed_blobs import SealedFormat
from syncapi.client.store.streams import CHUNK
from syncapi.client.transfer.contents import BytesContent

_KEY = DataKey.new()
_SEALED_CHUNK = CHUNK + 16
_FIRST = 96


def _plain(size: int) -> bytes:
    """Some bytes of which no two chunks are alike."""
    return hashlib.shake_256(str(size).encode()).digest(size)


def _sealed(folder: Path, plain: bytes) -> tuple[Blobs, Path, str]:
    place = folder / "blobs"
    place.mkdir()
    blobs = Blobs(place, [SealedFormat(_KEY)])
    sha256 = add(blobs, BytesContent(plain)).sha256_hash
    (path,) = place.iterdir()
    return blobs, path, sha256


def _read(blobs: Blobs, sha256: str, size: int) -> bytes:
    with blobs.content(sha256, size).open() as stream:
        return stream.read()


_SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 5]


@pytest.mark.parametrize("size", _SIZES)
def test_what_is_sealed_is_read_again(tmp_path: Path, size: int) -> None:
    blobs, path, sha256 = _sealed(tmp_path, _plain(size))
    assert _read(blobs, sha256, size) == _plain(size)
    assert list(blobs.digests()) == [sha256]
    chunks = max(1, -(-size // CHUNK))
    assert path.stat().st_size == _FIRST + size + 16 * chunks


@settings(max_examples=60, deadline=None)
@given(
    size=st.sampled_from([0, 1, CHUNK, CHUNK + 1, 2 * CHUNK + 77]),
    moves=st.lists(
        st.tuples(
            st.sampled_from([io.SEEK_SET, io.SEEK_CUR, io.SEEK_END]),
            st.integers(-3 * CHUNK, 3 * CHUNK) | st.integers(-3, 3),
            st.integers(-1, 2 * CHUNK) | st.integers(0, 3),
        ),
        max_size=12,
    ),
)
def test_any_seek_and_read_gives_the_plain_bytes(
    size: int, moves: list[tuple[int, int, int]]
) -> None:
    plain = _plain(size)
    with TemporaryDirectory() as folder:
        blobs, _, sha256 = _sealed(Path(folder), plain)
        with blobs.content(sha256, size).open() as sealed, io.BytesIO(plain) as model:
            for whence, offset, count in moves:
                base = {0: 0, 1: model.tell(), 2: size}[whence]
                place = max(0, base + offset)
                assert sealed.seek(place - base, whence) == model.seek(place)
                assert sealed.read(count) == model.read(count)
                assert sealed.tell() == model.tell()


def test_every_flipped_byte_of_a_small_blob_is_noticed(tmp_path: Path) -> None:
    blobs, path, sha256 = _sealed(tmp_path, _plain(100))
    sealed = path.read_bytes()
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        path.write_bytes(changed)
        with pytest.raises(StoreDamaged, match=path.name):
            _read(blobs, sha256, 100)
    path.write_bytes(sealed)
    assert _read(blobs, sha256, 100) == _plain(100)


def test_every_truncation_of_a_small_blob_is_noticed(tmp_path: Path) -> None:
    blobs, path, sha256 = _sealed(tmp_path, _plain(100))
    sealed = path.read_bytes()
    for size in range(len(sealed)):
        path.write_bytes(sealed[:size])
        with pytest.raises(StoreDamaged):
            _read(blobs, sha256, 100)


_SIZE = 2 * CHUNK + 1000


@settings(max_examples=60, deadline=None)
@given(place=st.integers(0, _FIRST + _SIZE + 3 * 16 - 1), bit=st.integers(0, 7), data=st.data())
def test_any_flipped_bit_or_truncation_of_a_large_blob_is_noticed(
    place: int, bit: int, data: st.DataObject
) -> None:
    with TemporaryDirectory() as folder:
        blobs, path, sha256 = _sealed(Path(folder), _plain(_SIZE))
        sealed = path.read_bytes()
        if data.draw(st.booleans()):
            path.write_bytes(sealed[:place])
        else:
            changed = bytearray(sealed)
            changed[place] ^= 1 << bit
            path.write_bytes(changed)
        assert list(blobs.check()) != []
        with pytest.raises(StoreDamaged):
            _read(blobs, sha256, _SIZE)


def _chunks(sealed: bytes) -> list[bytes]:
    body = sealed[_FIRST:]
    return [body[at : at + _SEALED_CHUNK] for at in range(0, len(body), _SEALED_CHUNK)]


@pytest.mark.parametrize(
    "order",
    [[1, 0, 2], [0, 2], [0, 1], [1, 2], [0, 1, 1, 2], [0, 1, 2, 2], [0, 1, 2, 0]],
    ids=str,
)
def test_chunks_that_were_swapped_dropped_or_repeated_are_noticed(
    tmp_path: Path, order: list[int]
) -> None:
    plain = _plain(3 * CHUNK)  # chunks of the same size, so that only their order tells
    blobs, path, sha256 = _sealed(tmp_path, plain)
    sealed = path.read_bytes()
    chunks = _chunks(sealed)
    path.write_bytes(sealed[:_FIRST] + b"".join(chunks[number] for number in order))
    form = SealedFormat(_KEY)
    with pytest.raises(StoreDamaged), form.open(path, sha256) as stream:  # whatever its size
        stream.read()
    with pytest.raises(StoreDamaged):
        _read(blobs, sha256, len(plain))


def test_bytes_behind_the_end_are_noticed(tmp_path: Path) -> None:
    _, path, sha256 = _sealed(tmp_path, _plain(100))
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(StoreDamaged):
        SealedFormat(_KEY).open(path, sha256)


def test_a_blob_under_the_name_of_another_is_noticed(tmp_path: Path) -> None:
    blobs, path, sha256 = _sealed(tmp_path, _plain(100))
    other = add(blobs, BytesContent(b"x" * 100)).sha256_hash
    path.replace(path.with_name(SealedFormat(_KEY).name(other)))
    with pytest.raises(StoreDamaged, match="another content"):
        _read(blobs, other, 100)
    assert not blobs.has(sha256)
    assert len(list(blobs.check())) == 1


def test_equal_bytes_are_sealed_otherwise_each_time(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    _, one, _ = _sealed(tmp_path / "a", _plain(5000))
    _, other, _ = _sealed(tmp_path / "b", _plain(5000))
    assert one.name == other.name
    assert one.read_bytes()[_FIRST:] != other.read_bytes()[_FIRST:]


def test_the_name_of_a_blob_does_not_tell_its_hash(tmp_path: Path) -> None:
    _, path, sha256 = _sealed(tmp_path, b"well known")
    assert path.name != sha256
    assert SealedFormat(DataKey.new()).name(sha256) != path.name
    assert bytes.fromhex(sha256) not in path.read_bytes()
