"""The accounts, each a login to a tenant of a server: ``accounts.json``."""

from pathlib import Path
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from syncapi.cli.client.json_files import Record
from syncapi.cli.client.places import config_dir
from syncapi.cli.exit_codes import CommandFailed, ExitCode

DEFAULT_ACCOUNT = "default"


class InKeyring(BaseModel):
    """The token is in the keyring of the desktop."""

    kind: Literal["keyring"] = "keyring"
    name: str


class InFile(BaseModel):
    """The token is in a file that only its owner may read."""

    kind: Literal["file"] = "file"
    path: Path


class ByCommand(BaseModel):
    """A command prints the token whenever one is needed."""

    kind: Literal["command"] = "command"
    command: str


TokenPlace = Annotated[InKeyring | InFile | ByCommand, Field(discriminator="kind")]


class Account(BaseModel):
    """A tenant of a server, and where its token is. The token itself is never here."""

    url: str
    tenant: UUID
    token: TokenPlace


class AccountsFile(BaseModel):
    version: Literal[1] = 1
    accounts: dict[str, Account] = {}


def accounts() -> Record[AccountsFile]:
    """The file of all accounts."""
    return Record(config_dir() / "accounts.json", AccountsFile)


def find_account(name: str) -> Account:
    """The account of this name.

    Raises:
        CommandFailed: there is none.
    """
    known = accounts().read().accounts
    if name in known:
        return known[name]
    option = "" if name == DEFAULT_ACCOUNT else f" --account {name}"
    others = f" There are: {', '.join(sorted(known))}." if known else ""
    raise CommandFailed(
        f"there is no account '{name}' here.{others}",
        ExitCode.UNAUTHORISED,
        hint=f"syncapi login --url URL --tenant TENANT{option}",
    )
