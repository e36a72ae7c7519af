"""``syncapi gc``: delete what is not needed any more."""

import asyncio
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.status import Status

from syncapi.cli.output import print_json, print_table
from syncapi.cli.server.arguments import AsJson
from syncapi.cli.server.gc_metrics import write_metrics
from syncapi.cli.server.settings_loading import load_settings
from syncapi.cli.server.tenant_outcomes import expect_none_failed
from syncapi.server.domain.retention import Collected, Garbage
from syncapi.server.domain.tenancy import Tenant
from syncapi.server.factories import database_urls, object_store, retention
from syncapi.server.postgres.control import ControlStore
from syncapi.server.postgres.databases import Databases
from syncapi.server.postgres.engines import PoolLimits
from syncapi.server.redis.invalidation import Invalidations
from syncapi.server.settings import Settings
from syncapi.server.usecases.gc.run import GarbageCollection, TenantCollection
from syncapi.server.usecases.tenants import TenantAdministration
from syncapi.server.web.logging import configure_logging

_POOL = PoolLimits(size=2, idle=10, statement_timeout=300)
_COLUMNS = ("tenant", *Garbage, "freed_bytes")

app = typer.Typer(help="Delete what is not needed any more.")


@app.command()
def gc(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Change nothing; say what would be collected.")
    ] = False,
    tenant: Annotated[
        str | None, typer.Option(metavar="TENANT", help="One tenant alone: its id or slug.")
    ] = None,
    as_json: AsJson = False,
    metrics_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.prom",
            dir_okay=False,
            help="Write the results for the textfile collector of node_exporter.",
        ),
    ] = None,
) -> None:
    """Collect old tombstones, versions beyond the limits, abandoned uploads, and unused bytes.

    The settings say how old they must be: see `syncapi config show`. Run it once a day. It may
    run beside the service, and be stopped at any time. A tenant or database that fails does not
    stop the others; those that failed are named at the end. Suspended tenants are left out. A dry
    run does not count what its own deletions would set free.
    """
    if dry_run and metrics_file is not None:
        raise typer.BadParameter("a dry run collects nothing", param_hint="--metrics-file")
    settings = load_settings()
    configure_logging(settings.log_level, settings.log_format, sys.stderr)
    progress = _Progress()
    started = time.monotonic()
    with progress:
        outcomes = asyncio.run(_run(settings, tenant, progress, is_dry=dry_run))
    if metrics_file is not None:
        write_metrics(metrics_file, outcomes, time.monotonic() - started)
    if as_json:
        print_json([_record(outcome) for outcome in outcomes])
    else:
        done = [_record(outcome) for outcome in outcomes if outcome.error is None]
        print_table(done, _COLUMNS, empty="There are no tenants.")
    expect_none_failed(outcomes)


async def _run(
    settings: Settings, reference: str | None, progress: "_Progress", *, is_dry: bool
) -> list[TenantCollection]:
    async with AsyncExitStack() as stack:
        databases = await stack.enter_async_context(Databases(database_urls(settings), _POOL))
        objects = await stack.enter_async_context(object_store(settings))
        control = ControlStore(databases.control)
        administration = TenantAdministration(control, databases, Invalidations(None))
        tenants = await _tenants(administration, reference)
        progress.expect(len(tenants))
        collection = GarbageCollection(
            databases, control, objects, retention(settings), is_dry=is_dry
        )
        return await collection.run(tenants, progress.tell, progress.finished)


async def _tenants(administration: TenantAdministration, reference: str | None) -> list[Tenant]:
    if reference is None:
        return list(await administration.all())
    return [await administration.find(reference)]


class _Progress:
    """On a terminal a line that changes; elsewhere one line for each tenant. On stderr."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._status = Status("Looking for garbage", console=self._console)
        self._all = self._done = 0

    def __enter__(self) -> "_Progress":
        if self._console.is_terminal:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._status.stop()

    def expect(self, tenants: int) -> None:
        self._all = tenants

    def tell(self, tenant: Tenant, collected: Collected) -> None:
        where = f"Tenant {self._done + 1} of {self._all}, {tenant.slug}"
        self._status.update(f"{where}: {_summary(collected)}")

    def finished(self, outcome: TenantCollection) -> None:
        self._done += 1
        said = _summary(outcome.collected) if outcome.error is None else f"failed: {outcome.error}"
        line = f"{self._done} of {self._all} {outcome.tenant.slug}: {said}"
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def _summary(collected: Collected) -> str:
    counts = {kind: count for kind, count in collected.counts.items() if count}
    if not counts:
        return "nothing to collect"
    said = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in counts.items())
    return f"{said}, {collected.freed_bytes} bytes"


def _record(outcome: TenantCollection) -> dict[str, Any]:
    counts = {kind.value: outcome.collected.counts[kind] for kind in Garbage}
    return {
        "tenant": outcome.tenant.slug,
        "tenant_id": outcome.tenant.id,
        "database": outcome.tenant.database,
        **counts,
        "freed_bytes": outcome.collected.freed_bytes,
        "error": outcome.error,
    }
