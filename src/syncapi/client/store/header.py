"""The header of a store: the data key, wrapped, and a rotation that is under way."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ValidationError

from syncapi.client.errors import StoreDamaged, WrongKey
from syncapi.client.store.database import WAY_OUT, Database
from syncapi.client.store.envelope import DataKey, WrappedKey
from syncapi.client.store.formats import BlobFormat, PlainFormat
from syncapi.client.store.keys import Key
from syncapi.client.store.records import Cipher, NoCipher, key_has_changed


class Header(BaseModel, frozen=True):
    """One row of the database.

    Attributes:
        key: None in a plain store.
        retiring: the data key before, wrapped with the new one, until no blob needs it any more.
    """

    key: WrappedKey | None = None
    retiring: WrappedKey | None = None

    @property
    def key_id(self) -> str:
        return self.key.id if self.key else ""


@dataclass(frozen=True, slots=True)
class DataKeys:
    """What opens a store; both None in a plain one."""

    current: DataKey | None
    retiring: DataKey | None


def read_header(database: Database) -> Header:
    rows = database.query("SELECT document FROM header")
    try:
        return Header.model_validate_json(rows[0][0])
    except (IndexError, ValidationError) as error:
        raise StoreDamaged(f"{database.path} is damaged: its header.", hint=WAY_OUT) from error


def write_header(database: Database, header: Header, *, was: str) -> None:
    """Replace the header, which has `was` as the id of its data key.

    Raises:
        StoreBusy: it has another one, so another process was here.
    """
    changed = database.change(
        "UPDATE header SET key_id = ?, document = ? WHERE key_id = ?",
        (header.key_id, header.model_dump_json(), was),
    )
    if not changed:
        raise key_has_changed(database.path)


def unlock(header: Header, key: Key | None, folder: Path) -> DataKeys:
    """The data keys.

    Raises:
        WrongKey: the key is not the right one, or is missing, or is not needed.
        StoreError: the key cannot be read.
    """
    if header.key is None:
        if key is not None:
            raise WrongKey(f"{folder} is not encrypted.", hint="Open it without a key.")
        return DataKeys(None, None)
    if key is None:
        raise WrongKey(f"{folder} is encrypted.", hint=f"Give its {header.key.kind_in_words}.")
    try:
        current = key.unwrap(header.key)
    except WrongKey as error:
        hint = f"Give the {header.key.kind_in_words} it was made with. If that is lost: {WAY_OUT}"
        raise WrongKey(f"{folder} is encrypted, and {error}.", hint=hint) from error
    return DataKeys(current, _retiring(header, current, folder))


def _retiring(header: Header, current: DataKey, folder: Path) -> DataKey | None:
    if header.retiring is None:
        return None
    from syncapi.client.store import sealed_records  # noqa: PLC0415 - a plain store needs no cryptography

    try:
        return sealed_records.unwrap(
            header.retiring, sealed_records.derive(current, "retiring key")
        )
    except ValueError as error:
        raise StoreDamaged(f"{folder} is damaged: its header.", hint=WAY_OUT) from error


def rotated(current: DataKey, key: Key, retiring: DataKey) -> Header:
    """The header as it is while blobs move from one data key to the next."""
    from syncapi.client.store import sealed_records  # noqa: PLC0415 - a plain store needs no cryptography

    old = sealed_records.wrap(retiring, sealed_records.derive(current, "retiring key"), "data key")
    return Header(key=key.wrap(current), retiring=old)


def cipher_of(data: DataKey | None) -> Cipher:
    """How records are sealed."""
    if data is None:
        return NoCipher()
    from syncapi.client.store import sealed_records  # noqa: PLC0415 - a plain store needs no cryptography

    return sealed_records.RecordCipher(data)


def forms_of(data: DataKey | None, retiring: DataKey | None) -> list[BlobFormat]:
    """How blobs are written, and how some still are."""
    if data is None:
        return [PlainFormat()]
    from syncapi.client.store import sealed_blobs  # noqa: PLC0415 - as above

    return [sealed_blobs.SealedFormat(key) for key in (data, retiring) if key is not None]
