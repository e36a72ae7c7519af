"""AES-256-GCM for records and keys, and what is derived from a data key. Imports cryptography.

Nonces are 96 random bits: up to 2**32 messages may be sealed with one key (NIST SP 800-38D §8.3),
which a store does not reach; a rotation begins anew.
"""

import hmac
import secrets
from base64 import b64decode, b64encode

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt as ScryptKdf

from syncapi.client.store.envelope import KEY_SIZE, DataKey, Scrypt, WrappedBy, WrappedKey

_NONCE_SIZE = 12
_RECORD_SCHEMA = 1  # raise it with the form of what is sealed


def derive(data: DataKey, purpose: str) -> bytes:
    """A key for each purpose (RFC 5869 §2.3; a data key is uniform: no extraction is needed)."""
    return HKDFExpand(SHA256(), KEY_SIZE, f"syncapi {purpose}".encode()).derive(data.secret)


def stretch(passphrase: bytes, salt: bytes, cost: tuple[int, int, int]) -> bytes:
    """Derive a key by scrypt (RFC 7914) with N, r and p."""
    n, r, p = cost
    return ScryptKdf(salt=salt, length=KEY_SIZE, n=n, r=r, p=p).derive(passphrase)


class RecordCipher:
    """Seals records. Each is bound to its place: moved to another key, it does not open."""

    def __init__(self, data: DataKey) -> None:
        self.key_id = data.id
        self._aead = AESGCM(derive(data, "records"))

    def seal(self, table: str, key: str, plain: bytes) -> bytes:
        return _seal(self._aead, plain, _place(table, key))

    def open(self, table: str, key: str, sealed: bytes) -> bytes:
        """The record.

        Raises:
            ValueError: it was sealed with another key or for another place, or was changed.
        """
        return _open(self._aead, sealed, _place(table, key))


def name_of(data: DataKey, sha256: str) -> str:
    """The name of a blob. Without the key it does not show whether a known file is stored."""
    return hmac.digest(derive(data, "names of blobs"), bytes.fromhex(sha256), "sha256").hex()


def wrap(
    data: DataKey, secret: bytes, kind: WrappedBy, scrypt: Scrypt | None = None
) -> WrappedKey:
    """Seal a data key with another key."""
    sealed = _seal(AESGCM(secret), data.secret, _identity(kind, data.id))
    return WrappedKey(kind=kind, id=data.id, sealed=b64encode(sealed).decode(), scrypt=scrypt)


def unwrap(wrapped: WrappedKey, secret: bytes) -> DataKey:
    """Open it again.

    Raises:
        ValueError: the other key is wrong, or something was changed.
    """
    identity = _identity(wrapped.kind, wrapped.id)
    return DataKey(wrapped.id, _open(AESGCM(secret), b64decode(wrapped.sealed), identity))


def _seal(aead: AESGCM, plain: bytes, context: bytes) -> bytes:
    nonce = secrets.token_bytes(_NONCE_SIZE)
    return nonce + aead.encrypt(nonce, plain, context)


def _open(aead: AESGCM, sealed: bytes, context: bytes) -> bytes:
    try:
        return aead.decrypt(sealed[:_NONCE_SIZE], sealed[_NONCE_SIZE:], context)
    except InvalidTag as error:
        raise ValueError("it does not open") from error


def _place(table: str, key: str) -> bytes:
    return f"record {_RECORD_SCHEMA}\0{table}\0{key}".encode()


def _identity(kind: str, key_id: str) -> bytes:
    return f"data key\0{kind}\0{key_id}".encode()
