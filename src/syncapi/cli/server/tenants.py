"""``syncapi tenant``: make, list, limit, suspend and resume tenants."""

from dataclasses import asdict
from typing import Annotated

import typer

from syncapi.cli.output import print_json, print_table
from syncapi.cli.server.arguments import AsJson, TenantReference
from syncapi.cli.server.limits import limits
from syncapi.cli.server.operation import administer
from syncapi.server.domain.tenancy import Tenant
from syncapi.server.postgres.engines import DEFAULT_DATABASE

_COLUMNS = ("slug", "id", "name", "database", "is_active", "created_at")

app = typer.Typer(no_args_is_help=True, help="Create, list, limit and suspend tenants.")

app.command()(limits)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="As people call it.")],
    slug: Annotated[
        str | None, typer.Option(help="Short unique name. Default: made of the name.")
    ] = None,
    database: Annotated[
        str, typer.Option(help="Tenant database that shall hold it.")
    ] = DEFAULT_DATABASE,
    as_json: AsJson = False,
) -> None:
    """Create a tenant and open its feed."""
    tenant = administer(lambda admin: admin.create(name, slug=slug, database=database))
    _print(tenant, f"Created the tenant '{tenant.slug}': {tenant.id}", as_json)


@app.command("list")
def list_tenants(as_json: AsJson = False) -> None:
    """List all tenants."""
    found = [asdict(tenant) for tenant in administer(lambda admin: admin.all())]
    if as_json:
        print_json(found)
    else:
        print_table(found, _COLUMNS, empty="No tenants yet: `syncapi tenant create NAME`.")


@app.command()
def suspend(tenant: TenantReference, as_json: AsJson = False) -> None:
    """Suspend a tenant: to its members it does not exist until it is resumed."""
    changed = administer(lambda admin: admin.set_active(tenant, is_active=False))
    _print(changed, f"Suspended the tenant '{changed.slug}'.", as_json)


@app.command()
def resume(tenant: TenantReference, as_json: AsJson = False) -> None:
    """Let the members of a suspended tenant in again."""
    changed = administer(lambda admin: admin.set_active(tenant, is_active=True))
    _print(changed, f"Resumed the tenant '{changed.slug}'.", as_json)


def _print(tenant: Tenant, message: str, as_json: bool) -> None:
    if as_json:
        print_json(asdict(tenant))
    else:
        typer.echo(message)
