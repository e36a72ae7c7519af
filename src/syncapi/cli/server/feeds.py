"""``syncapi feed``: open a tenant's feed, and void feeds so that clients synchronise anew."""

from typing import Annotated, Any

import typer

from syncapi.cli.output import print_json, print_table
from syncapi.cli.server.arguments import AsJson, TenantReference
from syncapi.cli.server.operation import administer_feeds
from syncapi.cli.server.tenant_outcomes import expect_none_failed
from syncapi.server.usecases.feeds import Voided

_COLUMNS = ("tenant", "database", "mended", "server_time")

app = typer.Typer(no_args_is_help=True, help="Open and void the feeds of tenants.")


@app.command("open")
def open_(
    tenant: TenantReference,
    empty: Annotated[
        bool, typer.Option("--empty", help="Open an empty feed, where the database has none.")
    ] = False,
) -> None:
    """Make the feed in the database that a tenant's row names the tenant's own.

    The service and `syncapi gc` take no other: a database with no feed of the tenant, or with
    another one, is a 503. After --empty the tenant has no documents, and the next `syncapi gc`
    collects the bytes that it had.
    """
    found = administer_feeds(lambda feeds: feeds.open(tenant, empty=empty))
    typer.echo(f"The feed of '{found.slug}' is that in the database '{found.database}'.")


@app.command()
def void(
    tenant: Annotated[
        str | None, typer.Option(metavar="TENANT", help="One tenant alone: its id or slug.")
    ] = None,
    database: Annotated[
        str | None, typer.Option(metavar="NAME", help="The tenants of one database alone.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare feeds with their documents, correct them, and make every client synchronise anew.

    Run it after a restore, after a fail-over that lost writes, and after work that the triggers
    could not see. It may run beside the service, and be repeated. Clients get a 410 once, keep
    what only they hold, and push it again.
    """
    outcomes = administer_feeds(
        lambda feeds: feeds.void(_tell, reference=tenant, database=database)
    )
    if as_json:
        print_json([_record(outcome) for outcome in outcomes])
    else:
        done = [_record(outcome) for outcome in outcomes if outcome.error is None]
        print_table(done, _COLUMNS, empty="There are no such tenants.")
    expect_none_failed(outcomes)


def _tell(outcome: Voided) -> None:
    said = "voided" if outcome.error is None else f"failed: {outcome.error}"
    typer.echo(f"{outcome.tenant.slug}: {said}", err=True)


def _record(outcome: Voided) -> dict[str, Any]:
    return {
        "tenant": outcome.tenant.slug,
        "tenant_id": outcome.tenant.id,
        "database": outcome.tenant.database,
        "mended": outcome.mended,
        "server_time": outcome.server_time,
        "error": outcome.error,
    }
