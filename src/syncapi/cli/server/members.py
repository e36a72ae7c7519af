"""``syncapi member``: who is in a tenant, and as what."""

from dataclasses import asdict
from typing import Annotated

import typer

from syncapi.cli.output import print_json, print_table
from syncapi.cli.server.arguments import AsJson, TenantReference, UserId
from syncapi.cli.server.operation import administer
from syncapi.server.domain.access import Role

app = typer.Typer(no_args_is_help=True, help="Add, remove and list members.")


@app.command()
def add(
    tenant: TenantReference,
    user: UserId,
    role: Annotated[
        Role, typer.Option(help="admin: everything; user: read and write; viewer: read.")
    ] = Role.USER,
    as_json: AsJson = False,
) -> None:
    """Add a member, or give one another role."""
    found = administer(lambda admin: admin.add_member(tenant, user, role))
    if as_json:
        print_json({"tenant_id": found.id, "user_id": user, "role": role})
    else:
        typer.echo(f"{user} is now '{role}' in '{found.slug}'.")


@app.command()
def remove(tenant: TenantReference, user: UserId, as_json: AsJson = False) -> None:
    """Remove a member. The member's documents stay."""
    found = administer(lambda admin: admin.remove_member(tenant, user))
    if as_json:
        print_json({"tenant_id": found.id, "user_id": user, "role": None})
    else:
        typer.echo(f"{user} is no longer in '{found.slug}'.")


@app.command("list")
def list_members(tenant: TenantReference, as_json: AsJson = False) -> None:
    """List the members of a tenant."""
    found = [asdict(member) for member in administer(lambda admin: admin.members(tenant))]
    if as_json:
        print_json(found)
    else:
        print_table(
            found, ("user_id", "role"), empty="No members yet: `syncapi member add TENANT USER`."
        )
