"""``syncapi login``: make an account from a server, a tenant and a token that works."""

import asyncio
import os
import sys
from typing import Annotated
from urllib.parse import urlsplit
from uuid import UUID

import typer

from syncapi.cli.client.accounts import (
    DEFAULT_ACCOUNT,
    Account,
    ByCommand,
    TokenPlace,
    accounts,
)
from syncapi.cli.client.arguments import AccountName, verb_app
from syncapi.cli.client.console import AsEvents, Quiet, Speaker, speaking
from syncapi.cli.client.credentials import TOKEN_VARIABLE, describe, forget, keep
from syncapi.cli.exit_codes import CommandFailed, ExitCode
from syncapi.client.api.client import Client
from syncapi.client.api.tokens import CommandToken, StaticToken, TokenProvider
from syncapi.client.errors import NotFound
from syncapi.client.retrying import RetryPolicy

app = verb_app()

_FEW = RetryPolicy(attempts=2)  # a person is waiting
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@app.command()
def login(  # noqa: PLR0917 - the options of a verb
    url: Annotated[
        str | None, typer.Option(metavar="URL", envvar="SYNCAPI_URL", help="The server.")
    ] = None,
    tenant: Annotated[
        UUID | None, typer.Option(metavar="ID", envvar="SYNCAPI_TENANT", help="The tenant's id.")
    ] = None,
    token_stdin: Annotated[
        bool, typer.Option("--token-stdin", help="Read the token from stdin.")
    ] = False,
    token_command: Annotated[
        str | None,
        typer.Option(metavar="COMMAND", help="A command that prints a token whenever needed."),
    ] = None,
    account: AccountName = DEFAULT_ACCOUNT,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Send the token without TLS to another machine.")
    ] = False,
    as_json: AsEvents = False,
    quiet: Quiet = False,
) -> None:
    """Log in to a tenant of a server.

    The token is tried first, and kept only if the server takes it: in the keyring where there is
    one, else in a file that only you may read. Without --token-stdin and --token-command it is
    taken from SYNCAPI_TOKEN, or asked for.
    """
    with speaking(speaker := Speaker(as_json, quiet)):
        if token_stdin and token_command:
            raise CommandFailed("give one of --token-stdin and --token-command", ExitCode.USAGE)
        url = _check_url(url or _ask("URL of the server", "--url"), insecure=insecure)
        tenant = tenant or _as_uuid(_ask("Id of the tenant", "--tenant"))
        token = None if token_command else _token(from_stdin=token_stdin)
        provider = CommandToken(token_command) if token_command else StaticToken(token or "")
        asyncio.run(_try(url, tenant, provider))
        place: TokenPlace = (
            ByCommand(command=token_command) if token_command else keep(token or "")
        )
        _note(account, Account(url=url, tenant=tenant, token=place))
        speaker.say(
            f"Logged in to {url} as '{account}'. The token comes from {describe(place)}.",
            "logged_in",
            account=account,
            url=url,
            tenant=tenant,
            token_place=place.kind,
        )


def _ask(question: str, option: str) -> str:
    if not sys.stdin.isatty():
        raise CommandFailed(f"{option} is missing", ExitCode.USAGE, hint=f"give {option}")
    return str(typer.prompt(question, err=True))


def _as_uuid(text: str) -> UUID:
    try:
        return UUID(text.strip())
    except ValueError as error:
        raise CommandFailed(f"'{text}' is no id of a tenant", ExitCode.USAGE) from error


def _token(*, from_stdin: bool) -> str:
    if from_stdin:
        token = sys.stdin.readline()
    elif TOKEN_VARIABLE in os.environ:
        token = os.environ[TOKEN_VARIABLE]
    elif sys.stdin.isatty():
        token = str(typer.prompt("Token", hide_input=True, err=True))
    else:
        raise CommandFailed(
            "there is no token, and stdin is no terminal on which to ask for one",
            ExitCode.USAGE,
            hint="give --token-stdin or --token-command, or set SYNCAPI_TOKEN",
        )
    token = token.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise CommandFailed("that is no token: it is empty, or has blanks", ExitCode.USAGE)
    return token


def _check_url(text: str, *, insecure: bool) -> str:
    parts = urlsplit(text.strip())
    if (
        parts.scheme not in {"http", "https"}
        or not parts.hostname
        or parts.query
        or parts.username
    ):
        raise CommandFailed(
            f"'{text}' is no URL of a server", ExitCode.USAGE, hint="write https://sync.example"
        )
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK and not insecure:
        raise CommandFailed(
            f"{text} is not encrypted: others on the network could read the token",
            ExitCode.USAGE,
            hint="write https://, or give --insecure if the network is trusted",
        )
    return parts.geturl().rstrip("/")


async def _try(url: str, tenant: UUID, token: TokenProvider) -> None:
    try:
        async with Client(url, tenant, token, retry=_FEW) as client:
            await client.documents(page=1, per_page=1)
    except NotFound as error:
        raise CommandFailed(
            f"{url} has no tenant {tenant}, or this token's user is no member of it",
            ExitCode.UNAUTHORISED,
            hint="ask an admin of the tenant to add you, or check --tenant",
        ) from error


def _note(name: str, account: Account) -> None:
    with accounts().change() as known:
        before = known.accounts.get(name)
        known.accounts[name] = account
    if before is not None:
        forget(before.token)
