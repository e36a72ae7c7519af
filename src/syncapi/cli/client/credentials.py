"""Where tokens are kept, and how the client gets them. No token is ever printed.

``SYNCAPI_TOKEN`` takes precedence over an account's token. A keyring is used only if it returns
what was put into it: some systems have none, and some back ends forget.
"""

import os
from pathlib import Path
from uuid import uuid4

from syncapi.cli.client import desktop_keyring
from syncapi.cli.client.accounts import Account, ByCommand, InFile, InKeyring, TokenPlace
from syncapi.cli.client.places import config_dir, private
from syncapi.cli.exit_codes import CommandFailed, ExitCode
from syncapi.client import durable
from syncapi.client.api.tokens import CommandToken, StaticToken, TokenProvider

TOKEN_VARIABLE = "SYNCAPI_TOKEN"  # noqa: S105 - its name


def keep(token: str) -> InKeyring | InFile:
    """Keep a token in the keyring if there is a usable one, else in a file."""
    name = uuid4().hex
    return keep_in_keyring(name, token) or _keep_in_file(name, token)


def forget(place: TokenPlace) -> None:
    """Delete a token from where it is kept. It may be gone already."""
    match place:
        case InKeyring(name=name):
            desktop_keyring.drop(name)
        case InFile(path=path) if path.exists():
            durable.remove(path)


def describe(place: TokenPlace) -> str:
    """Where a token is, for a person."""
    match place:
        case InKeyring():
            return f"the keyring ({desktop_keyring.label()})"
        case InFile(path=path):
            return f"{path} (no keyring can be used here; only you may read the file)"
        case ByCommand(command=command):
            return f"the command `{command}`"


def token_of(account: Account) -> TokenProvider:
    """The provider from which the client gets its tokens.

    Raises:
        CommandFailed: the token is not where it was kept.
    """
    if token := os.environ.get(TOKEN_VARIABLE):
        return StaticToken(token)
    if isinstance(account.token, ByCommand):
        return CommandToken(account.token.command)
    kept = _read_token(account.token)
    if not kept:
        raise CommandFailed(
            f"the token of {account.url} is gone from {describe(account.token)}",
            ExitCode.UNAUTHORISED,
            hint=f"syncapi login --url {account.url} --tenant {account.tenant}",
        )
    return StaticToken(kept)


def _read_token(place: InKeyring | InFile) -> str | None:
    match place:
        case InKeyring(name=name):
            return desktop_keyring.kept(name)
        case InFile(path=path):
            return path.read_text(encoding="utf-8").strip() if path.exists() else None


def keep_in_keyring(name: str, token: str) -> InKeyring | None:
    """Keep a token in the keyring; None if no keyring can be used."""
    return InKeyring(name=name) if desktop_keyring.keeps(name, token) else None


def _keep_in_file(name: str, token: str) -> InFile:
    path: Path = private(config_dir() / "tokens") / name
    durable.write_text(path, token + "\n")
    return InFile(path=path)
