"""What an encrypted store is opened with: a key in a keyring or in a file, or a passphrase.

Records and blobs are sealed with a random *data key*, which lies in the store, wrapped by one of
these (an envelope). So a new passphrase costs one row, and a new data key needs no new passphrase.
"""

import os
import secrets
from abc import ABC, abstractmethod
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from pathlib import Path
from typing import ClassVar
from unicodedata import normalize

from typing_extensions import override

from syncapi.client import durable
from syncapi.client.errors import StoreError, WrongKey
from syncapi.client.store.envelope import KEY_SIZE, DataKey, KeyKind, Scrypt, WrappedKey

_SALT_SIZE = 16  # bytes, as RFC 7914 §2 has it in its examples and NIST SP 800-132 §5.1 asks for
_SERVICE = "syncapi"
_OTHERS_MAY_READ = 0o077


class Key(ABC):
    """Wraps and unwraps data keys."""

    kind: ClassVar[KeyKind]

    def wrap(self, data: DataKey) -> WrappedKey:
        """Wrap a data key; a keyring or file that has no key yet gets one.

        Raises:
            StoreError: the key cannot be kept there.
        """
        from syncapi.client.store import sealed_records  # noqa: PLC0415 - a plain store needs no cryptography

        scrypt = self._prepare()
        return sealed_records.wrap(data, self._secret(scrypt), self.kind, scrypt)

    def unwrap(self, wrapped: WrappedKey) -> DataKey:
        """The data key.

        Raises:
            WrongKey: this is not what it was wrapped with, or is not there.
        """
        from syncapi.client.store import sealed_records  # noqa: PLC0415 - a plain store needs no cryptography

        if wrapped.kind != self.kind:
            raise WrongKey(f"it is opened by a {wrapped.kind_in_words}, not by {self}")
        try:
            return sealed_records.unwrap(wrapped, self._secret(wrapped.scrypt))
        except ValueError as error:
            raise WrongKey(f"{self} does not open it") from error

    @abstractmethod
    def _prepare(self) -> Scrypt | None:
        """Make the wrapping key if there is none yet, or the parameters that lead to it."""

    @abstractmethod
    def _secret(self, scrypt: Scrypt | None) -> bytes:
        """The wrapping key.

        Raises:
            WrongKey: there is none.
        """


class KeyringKey(Key):
    """A key in the keyring of the system, under the service ``syncapi``."""

    kind = "keyring"

    def __init__(self, name: str) -> None:
        self._name = name

    @override
    def __str__(self) -> str:
        return f"the key {self._name!r} in the keyring"

    @override
    def _prepare(self) -> None:
        if self._read() is None:
            self._write(b64encode(secrets.token_bytes(KEY_SIZE)).decode())

    @override
    def _secret(self, scrypt: Scrypt | None) -> bytes:
        text = self._read()
        if text is None:
            raise WrongKey(f"{self} is not there")
        return _decoded(text, str(self))

    def _read(self) -> str | None:
        import keyring  # noqa: PLC0415 - slow, and only needed here
        from keyring.errors import KeyringError  # noqa: PLC0415

        try:
            return keyring.get_password(_SERVICE, self._name)
        except KeyringError as error:
            raise _no_keyring(error) from error

    def _write(self, text: str) -> None:
        import keyring  # noqa: PLC0415 - slow, and only needed here
        from keyring.errors import KeyringError  # noqa: PLC0415

        try:
            keyring.set_password(_SERVICE, self._name, text)
        except KeyringError as error:
            raise _no_keyring(error) from error


class FileKey(Key):
    """A key in a file that only its owner may read. Keep it elsewhere than the store."""

    kind = "file"

    def __init__(self, path: Path) -> None:
        self._path = path

    @override
    def __str__(self) -> str:
        return f"the key file {self._path}"

    @override
    def _prepare(self) -> None:
        if not self._path.exists():
            durable.make_folder(self._path.parent)
            text = b64encode(secrets.token_bytes(KEY_SIZE)).decode()
            durable.write_text(self._path, f"{text}\n", mode=0o600)

    @override
    def _secret(self, scrypt: Scrypt | None) -> bytes:
        try:
            if os.name == "posix" and self._path.stat().st_mode & _OTHERS_MAY_READ:
                raise StoreError(
                    f"Others may read the key file {self._path}.",
                    hint=f"chmod 600 {self._path}",
                )
            text = self._path.read_text(encoding="ascii")
        except FileNotFoundError as error:
            raise WrongKey(f"{self} is not there") from error
        except (OSError, UnicodeDecodeError) as error:
            raise WrongKey(f"{self} cannot be read ({error})") from error
        return _decoded(text, str(self))


class PassphraseKey(Key):
    """A key that a person remembers, stretched by scrypt.

    Args:
        passphrase: In any Unicode form; NFC is what counts (RFC 8265 §4.2).
        cost: scrypt's N for a new store; r is 8 and p is 1. 2**17 takes 128 MiB and half a second.
    """

    kind = "passphrase"

    def __init__(self, passphrase: str, *, cost: int = 2**17) -> None:
        if not passphrase:
            raise StoreError("The passphrase is empty.", hint="Give one.")
        self._passphrase = normalize("NFC", passphrase)
        self._cost = cost

    @override
    def __str__(self) -> str:
        return "this passphrase"

    @override
    def _prepare(self) -> Scrypt:
        salt = b64encode(secrets.token_bytes(_SALT_SIZE)).decode()
        return Scrypt(salt=salt, n=self._cost, r=8, p=1)

    @override
    def _secret(self, scrypt: Scrypt | None) -> bytes:
        from syncapi.client.store import sealed_records  # noqa: PLC0415 - a plain store needs no cryptography

        if scrypt is None:
            raise ValueError("no parameters of scrypt")
        return sealed_records.stretch(
            self._passphrase.encode(), b64decode(scrypt.salt), (scrypt.n, scrypt.r, scrypt.p)
        )


def _decoded(text: str, name: str) -> bytes:
    try:
        secret = b64decode(text.strip(), validate=True)
    except NotBase64:
        secret = b""
    if len(secret) != KEY_SIZE:
        raise WrongKey(f"{name} is no key of syncapi")
    return secret


def _no_keyring(error: Exception) -> StoreError:
    return StoreError(
        f"The keyring cannot be used: {error}.",
        hint="Unlock it, or encrypt with a key file or a passphrase.",
    )
