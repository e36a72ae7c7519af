"""The data key of an encrypted store, and how it lies in the header: wrapped by another key."""

import secrets
from typing import Final, Literal

from pydantic import BaseModel, Field

KEY_SIZE: Final = 32  # bytes: AES-256
_ID_SIZE = 8  # bytes

KeyKind = Literal["keyring", "file", "passphrase"]
WrappedBy = KeyKind | Literal["data key"]
_IN_WORDS = {
    "keyring": "key in the keyring",
    "file": "key file",
    "passphrase": "passphrase",
    "data key": "data key",
}


class DataKey:
    """The key that seals records and blobs; its id is random and reveals nothing of it."""

    def __init__(self, key_id: str, secret: bytes) -> None:
        self.id = key_id
        self.secret = secret

    @classmethod
    def new(cls) -> "DataKey":
        return cls(secrets.token_hex(_ID_SIZE), secrets.token_bytes(KEY_SIZE))


class Scrypt(BaseModel, frozen=True):
    """Parameters of scrypt (RFC 7914); bounded, so that a tampered header exhausts no memory."""

    salt: str
    n: int = Field(gt=1, le=2**22)
    r: int = Field(ge=1, le=16)
    p: int = Field(ge=1, le=16)


class WrappedKey(BaseModel, frozen=True):
    """A data key as it lies in the header of the store."""

    kind: WrappedBy
    id: str
    sealed: str
    scrypt: Scrypt | None = None

    @property
    def kind_in_words(self) -> str:
        return _IN_WORDS[self.kind]
