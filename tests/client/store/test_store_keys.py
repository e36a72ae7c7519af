"""Keys in a keyring, in a file, and passphrases."""

import base64
import stat
from pathlib import Path

import keyring
import pytest
from keyring.backends.fail import Keyring as NoKeyring

from fixtures.stores import CHEAP, MemoryKeyring
from syncapi.client.errors import StoreError, WrongKey
from syncapi.client.store.envelope import DataKey, WrappedKey
from syncapi.client.store.keys import FileKey, KeyringKey, PassphraseKey
from syncapi.client.store.sealed_records import stretch

DATA = DataKey.new()


def test_a_key_file_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    key = FileKey(tmp_path / "folder" / "key")
    first, second = key.wrap(DATA), key.wrap(DATA)
    assert key.unwrap(first).secret == key.unwrap(second).secret == DATA.secret
    assert stat.S_IMODE((tmp_path / "folder" / "key").stat().st_mode) == 0o600
    assert len(base64.b64decode((tmp_path / "folder" / "key").read_text())) == 32
    assert first.sealed != second.sealed


def test_a_key_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    wrapped = FileKey(tmp_path / "key").wrap(DATA)
    (tmp_path / "key").chmod(0o640)
    with pytest.raises(StoreError, match="Others may read") as caught:
        FileKey(tmp_path / "key").unwrap(wrapped)
    assert caught.value.hint == f"chmod 600 {tmp_path / 'key'}"


@pytest.mark.parametrize("content", [b"", b"not base64!", b"c2hvcnQ=", b"\xff\xfe"])
def test_a_file_that_is_no_key_is_told(tmp_path: Path, content: bytes) -> None:
    wrapped = FileKey(tmp_path / "key").wrap(DATA)
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(WrongKey, match=r"the key file .*/key"):
        FileKey(tmp_path / "key").unwrap(wrapped)


def test_a_key_is_kept_in_the_keyring(memory_keyring: MemoryKeyring) -> None:
    wrapped = KeyringKey("folder-1").wrap(DATA)
    assert [*memory_keyring.passwords] == [("syncapi", "folder-1")]
    assert KeyringKey("folder-1").unwrap(wrapped).secret == DATA.secret


def test_a_keyring_that_cannot_be_used_is_told(memory_keyring: MemoryKeyring) -> None:
    wrapped = KeyringKey("folder-1").wrap(DATA)
    keyring.set_keyring(NoKeyring())  # type: ignore[no-untyped-call]
    for use in (
        lambda: KeyringKey("folder-1").unwrap(wrapped),
        lambda: KeyringKey("2").wrap(DATA),
    ):
        with pytest.raises(StoreError, match="keyring cannot be used") as caught:
            use()
        assert "key file or a passphrase" in (caught.value.hint or "")
    assert len(memory_keyring.passwords) == 1


def test_a_passphrase_is_stretched_with_parameters_that_are_kept() -> None:
    wrapped = PassphraseKey("correct horse").wrap(DATA)
    assert wrapped.scrypt is not None
    assert (wrapped.scrypt.n, wrapped.scrypt.r, wrapped.scrypt.p) == (2**17, 8, 1)
    assert len(base64.b64decode(wrapped.scrypt.salt)) == 16
    cheap = PassphraseKey("correct horse", cost=CHEAP)
    assert cheap.unwrap(wrapped).secret == DATA.secret
    again = cheap.wrap(DATA)
    assert again.scrypt is not None
    assert again.scrypt.salt != wrapped.scrypt.salt
    assert again.scrypt.n == CHEAP


def test_a_passphrase_counts_in_any_unicode_form() -> None:
    wrapped = PassphraseKey("ma\u0308rz", cost=CHEAP).wrap(DATA)
    assert PassphraseKey("m\u00e4rz", cost=CHEAP).unwrap(wrapped).secret == DATA.secret


def test_an_empty_passphrase_is_refused() -> None:
    with pytest.raises(StoreError, match="empty"):
        PassphraseKey("")


def test_scrypt_is_that_of_the_rfc() -> None:
    """RFC 7914 §12, its third vector; the first 32 bytes are those of a shorter key."""
    assert stretch(b"pleaseletmein", b"SodiumChloride", (16384, 8, 1)).hex() == (
        "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
    )


def test_a_header_that_would_exhaust_memory_is_refused() -> None:
    wrapped = PassphraseKey("any", cost=CHEAP).wrap(DATA)
    document = wrapped.model_dump()
    document["scrypt"]["n"] = 2**40
    with pytest.raises(ValueError, match="less than or equal"):
        WrappedKey.model_validate(document)


def test_a_wrapped_key_whose_id_or_kind_was_changed_does_not_open(tmp_path: Path) -> None:
    key = FileKey(tmp_path / "key")
    wrapped = key.wrap(DATA)
    with pytest.raises(WrongKey):
        key.unwrap(wrapped.model_copy(update={"id": DataKey.new().id}))


def test_keys_are_not_shown_by_accident() -> None:
    assert DATA.secret.hex() not in repr(DATA)
    assert "hush" not in repr(PassphraseKey("hush")) + str(PassphraseKey("hush"))
