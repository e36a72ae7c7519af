"""Bytes sealed in chunks that can be opened one by one, from any place. Imports cryptography.

The STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár: Online Authenticated-Encryption and
its Nonce-Reuse Misuse-Resistance, 2015, https://eprint.iacr.org/2015/189) over AES-256-GCM: a
chunk's nonce has its number and whether it is the last, so that chunks that were cut off, swapped,
dropped or appended do not open. Each file has a key of its own, by HKDF and a random salt, as in
Tink's AES-GCM-HKDF streaming: no nonce meets a key twice, however many files there are.

    file   := header ‖ chunk 0 ‖ chunk 1 ‖ … ‖ chunk n
    header := "syncblb1" ‖ id of the data key (8 bytes) ‖ salt (32 bytes)
    nonce  := prefix (7 bytes, from HKDF) ‖ number (4 bytes) ‖ 1 if last, else 0

Chunk 0 holds the SHA-256 of the content; each other one 64 KiB of it, the last one the rest.
"""

import io
import math
import secrets
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import BinaryIO, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from typing_extensions import Buffer, override

from syncapi.client.errors import StoreDamaged
from syncapi.client.store.database import WAY_OUT
from syncapi.client.store.envelope import KEY_SIZE, DataKey
from syncapi.client.store.sealed_records import derive

CHUNK: Final = 64 * 1024  # bytes of content
_TAG = 16
_SEALED_CHUNK = CHUNK + _TAG
_MAGIC = b"syncblb1"
_SALT = 32
_HEADER = len(_MAGIC) + 8 + _SALT
_FIRST = _HEADER + 32 + _TAG  # where chunk 1 begins
_PREFIX = 7


def mark_of(data: DataKey) -> bytes:
    """How files of a data key begin."""
    return _MAGIC + bytes.fromhex(data.id)


class _Chunks:
    """Seals and opens the chunks of one file."""

    def __init__(self, data: DataKey, header: bytes) -> None:
        salt = header[-_SALT:]
        kdf = HKDF(SHA256(), KEY_SIZE + _PREFIX, salt, header[:-_SALT])
        derived = kdf.derive(derive(data, "blobs"))
        self._aead = AESGCM(derived[:KEY_SIZE])
        self._prefix = derived[KEY_SIZE:]

    def seal(self, number: int, plain: bytes, *, is_last: bool = False) -> bytes:
        return self._aead.encrypt(self._nonce(number, is_last=is_last), plain, None)

    def open(self, number: int, sealed: bytes, *, is_last: bool = False) -> bytes:
        return self._aead.decrypt(self._nonce(number, is_last=is_last), sealed, None)

    def _nonce(self, number: int, *, is_last: bool) -> bytes:
        return self._prefix + number.to_bytes(4) + bytes([is_last])


class Sealer:
    """Seals bytes that come piece by piece."""

    def __init__(self, data: DataKey, sha256: str) -> None:
        header = mark_of(data) + secrets.token_bytes(_SALT)
        self._chunks = _Chunks(data, header)
        self._buffer = bytearray()
        self._number = 1
        self.beginning = header + self._chunks.seal(0, bytes.fromhex(sha256))

    @property
    def size(self) -> int:
        """Bytes of content that came so far."""
        return (self._number - 1) * CHUNK + len(self._buffer)

    @property
    def unsealed(self) -> bytes:
        """The last of them, which wait for more: the last chunk is sealed as such."""
        return bytes(self._buffer)

    def update(self, data: bytes) -> bytes:
        self._buffer += data
        sealed = bytearray()
        while len(self._buffer) > CHUNK:
            sealed += self._chunks.seal(self._number, bytes(self._buffer[:CHUNK]))
            del self._buffer[:CHUNK]
            self._number += 1
        return bytes(sealed)

    def end(self) -> bytes:
        return self._chunks.seal(self._number, bytes(self._buffer), is_last=True)


class SealedReader(io.RawIOBase):
    """The content of a sealed file; seekable, a chunk in memory.

    Args:
        file: What is read, and closed at the end.
        data: The key.
        sha256: What it must stand for; None to take what it says.

    Raises:
        StoreDamaged: it is not a whole file of that key and content; also raised while reading.
    """

    def __init__(self, file: BinaryIO, data: DataKey, sha256: str | None = None) -> None:
        self._file = file
        try:
            self._chunks = _Chunks(data, self._file.read(_HEADER))
            self.sha256 = self._opened(0, self._file.read(_FIRST - _HEADER)).hex()
            self._measure(sha256)
        except BaseException:
            self._file.close()
            raise

    def _measure(self, sha256: str | None) -> None:
        if sha256 not in {None, self.sha256}:
            raise self._damaged("it holds another content")
        body = self._file.seek(0, io.SEEK_END) - _FIRST
        self._last = max(1, math.ceil(body / _SEALED_CHUNK))
        self._size = body - self._last * _TAG
        self._position, self._number, self._chunk = 0, 0, b""
        self._load(self._last)  # which proves the size

    @override
    def readable(self) -> bool:
        return True

    @override
    def seekable(self) -> bool:
        return True

    @override
    def tell(self) -> int:
        return self._position

    @override
    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise ValueError("negative seek position")
        self._position = start + offset
        return self._position

    @override
    def readinto(self, buffer: Buffer, /) -> int:
        if self._position >= self._size:
            return 0
        self._load(1 + self._position // CHUNK)
        start = self._position % CHUNK
        room = memoryview(buffer).cast("B")
        piece = self._chunk[start : start + len(room)]
        room[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    @override
    def close(self) -> None:
        self._file.close()
        super().close()

    def _load(self, number: int) -> None:
        if number != self._number:
            self._file.seek(_FIRST + (number - 1) * _SEALED_CHUNK)
            sealed = self._file.read(_SEALED_CHUNK)
            self._chunk = self._opened(number, sealed, is_last=number == self._last)
            self._number = number

    def _opened(self, number: int, sealed: bytes, *, is_last: bool = False) -> bytes:
        try:
            return self._chunks.open(number, sealed, is_last=is_last)
        except InvalidTag:
            raise self._damaged(f"chunk {number} was changed or cut off") from None

    def _damaged(self, why: str) -> StoreDamaged:
        return StoreDamaged(f"{self._file.name} is damaged: {why}.", hint=WAY_OUT)


def open_sealed(path: Path, data: DataKey, sha256: str) -> BinaryIO:
    """A buffered reader, which reads a chunk at a time."""
    return io.BufferedReader(SealedReader(path.open("rb"), data, sha256), CHUNK)


def salvage(path: Path, data: DataKey, sha256: str) -> Iterator[bytes]:
    """The whole chunks of an unfinished file of that content, from its beginning on.

    It ends at the first that does not open, such as one that was torn by a power cut.
    """
    with path.open("rb") as file:
        chunks = _Chunks(data, file.read(_HEADER))
        try:
            if chunks.open(0, file.read(_FIRST - _HEADER)).hex() != sha256:
                return
            for number in count(1):
                yield chunks.open(number, file.read(_SEALED_CHUNK))
        except InvalidTag:
            return


def content_size(sealed_size: int) -> int:
    """Bytes of content in the whole chunks of an unfinished file of that size."""
    return max(0, sealed_size - _FIRST) // _SEALED_CHUNK * CHUNK
