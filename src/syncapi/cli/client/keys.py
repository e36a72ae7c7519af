"""Keys of folders whose local state is encrypted."""

import os
import sys
from pathlib import Path

import typer

from syncapi.cli.client.places import config_dir, private
from syncapi.cli.client.registry import Encryption, Folder
from syncapi.cli.exit_codes import CommandFailed, ExitCode
from syncapi.client.store.keys import FileKey, Key, KeyringKey, PassphraseKey

PASSPHRASE_VARIABLE = "SYNCAPI_PASSPHRASE"  # noqa: S105 - its name


def key_of(folder: Folder, *, is_new: bool = False) -> Key | None:
    """The key of a folder's state; None if it is not encrypted.

    Args:
        folder: whose state it opens.
        is_new: ask twice for a passphrase.

    Raises:
        CommandFailed: a passphrase is needed, and there is no terminal on which to ask for it.
    """
    match folder.encryption:
        case "no":
            return None
        case "keyring":
            return KeyringKey(f"folder-{folder.id}")
        case "file":
            return FileKey(folder.key_file or default_key_file(folder.id))
        case "passphrase":
            return PassphraseKey(_passphrase(folder, is_new=is_new))


def default_key_file(folder_id: str) -> Path:
    """Where a key file is made: not beside what it opens."""
    return private(config_dir() / "keys") / f"{folder_id}.key"


def check_usable(encryption: Encryption) -> None:
    """Refuse a keyring that cannot keep a key.

    Raises:
        CommandFailed: there is none that does.
    """
    if encryption != "keyring":
        return
    from syncapi.cli.client.credentials import forget, keep_in_keyring  # noqa: PLC0415 - imports keyring

    place = keep_in_keyring("probe", "probe")
    if place is None:
        raise CommandFailed(
            "no keyring can be used here, so the key cannot be kept there",
            ExitCode.USAGE,
            hint="--encrypt passphrase, or --encrypt file",
        )
    forget(place)


def _passphrase(folder: Folder, *, is_new: bool) -> str:
    if given := os.environ.get(PASSPHRASE_VARIABLE):
        return given
    if not sys.stdin.isatty():
        raise CommandFailed(
            f"the state of {folder.path} is encrypted with a passphrase, and stdin is no "
            "terminal that it could be asked on",
            ExitCode.USAGE,
            hint=f"set {PASSPHRASE_VARIABLE}",
        )
    question = f"Passphrase of {folder.path}"
    return str(typer.prompt(question, hide_input=True, confirmation_prompt=is_new, err=True))
