"""``syncapi dev``: the service with all that it needs, on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from syncapi.cli.dev.demo.seeding import Demo
from syncapi.cli.dev.environment import write_env_file
from syncapi.cli.dev.stack import DevStack
from syncapi.cli.exit_codes import CommandFailed
from syncapi.cli.signals import ended_by_signals
from syncapi.embedded import EmbeddedError
from syncapi.server.domain.access import Role

app = typer.Typer()


@app.command()
def dev(
    data_dir: Annotated[Path, typer.Option(help="Where data, secrets and logs are kept.")] = Path(
        ".syncapi"
    ),
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Port of the API.")] = 4999,
) -> None:
    """Run PostgreSQL, S3, Valkey and the service, with a demo tenant, until Ctrl-C."""
    folder = data_dir.absolute()
    try:
        with ended_by_signals(), DevStack(folder, port) as stack:
            stack.start()
            demo = stack.demo()
            env_file = write_env_file(folder, stack.url, stack.services, demo)
            _announce(stack.url, demo, env_file)
            stack.watch()
    except EmbeddedError as error:
        raise CommandFailed(str(error)) from error


def _announce(url: str, demo: Demo, env_file: Path) -> None:
    sync = f"{url}/api/tenants/{demo.tenant_id}/documents/sync?since=1970-01-01T00:00:00Z"
    typer.echo(f"""
Serving on       {url}
Swagger UI       {url}/docs   (Authorize with the token)
Addresses, keys  {env_file}   (to be sourced by a shell)

A token of the demo tenant's admin:
{demo.tokens[Role.ADMIN]}

A first sync:
curl -s -H 'Authorization: Bearer {demo.tokens[Role.ADMIN]}' '{sync}'

Ctrl-C stops everything; the data stays.
""")
