"""``syncapi token``: bearer tokens made with the local secret."""

import re
from typing import Annotated
from uuid import UUID

import typer

from syncapi.cli.exit_codes import CommandFailed, ExitCode
from syncapi.cli.output import print_json
from syncapi.cli.server.arguments import AsJson
from syncapi.cli.server.settings_loading import load_settings
from syncapi.server.identity.tokens import SecretIssuer, issue

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_LONGEST = 3650 * _SECONDS["d"]

app = typer.Typer(no_args_is_help=True, help="Issue bearer tokens.")


@app.callback()
def _group() -> None:
    """Make ``issue`` a subcommand although it is the only one."""


def _duration(text: str) -> int:
    """Seconds in ``90``, ``15m``, ``8h`` or ``30d``."""
    match = re.fullmatch(r"([1-9][0-9]{0,9})([smhd]?)", text)
    seconds = int(match[1]) * _SECONDS[match[2] or "s"] if match else 0
    if not 0 < seconds <= _LONGEST:
        raise typer.BadParameter("write it as 900, 15m, 8h or 30d, up to 3650d")
    return seconds


@app.command("issue")
def issue_token(
    user: Annotated[UUID, typer.Option(help="The user's id.")],
    expires: Annotated[
        int,
        typer.Option(parser=_duration, metavar="DURATION", help="900, 15m, 8h or 30d."),
    ] = "1h",  # type: ignore[assignment]  # typer parses the default too
    as_json: AsJson = False,
) -> None:
    """Print a token for a user. Only where SYNCAPI_JWT_SECRET is set."""
    settings = load_settings()
    if settings.jwt_secret is None:
        raise CommandFailed(
            "SYNCAPI_JWT_SECRET is not set, so tokens come from the issuers in SYNCAPI_ISSUERS: "
            "get one there.",
            ExitCode.USAGE,
        )
    issuer = SecretIssuer(
        settings.jwt_issuer, settings.jwt_audience, settings.jwt_secret.get_secret_value()
    )
    token = issue(issuer, user, lifetime=expires)
    if as_json:
        print_json({"token": token, "user_id": user, "expires_in": expires})
    else:
        typer.echo(token)
