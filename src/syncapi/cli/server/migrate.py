"""``syncapi migrate``: bring the control database and every tenant database up to date."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Annotated, NoReturn

import typer

from syncapi.cli.exit_codes import CommandFailed, ExitCode
from syncapi.cli.server.operation import administer_feeds
from syncapi.cli.server.settings_loading import load_settings
from syncapi.server.domain.errors import Unavailable
from syncapi.server.factories import database_urls
from syncapi.server.postgres.engines import DEFAULT_DATABASE, DatabaseUrls
from syncapi.server.postgres.failures import is_down
from syncapi.server.postgres.migrations import (
    Target,
    Tree,
    current,
    head,
    is_known,
    tenant_databases,
    upgrade,
    upgrade_sql,
    why_stopped,
)

CONTROL = "control"

app = typer.Typer(help="Bring the databases up to date.")


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result for one target; ``error`` is None if it did not fail."""

    target: Target
    done: str
    error: str | None = None


@app.command()
def migrate(
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit 1 if a database is behind.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Change nothing; print the SQL that would run.")
    ] = False,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="Databases at once.")] = 4,
) -> None:
    """Bring the control database and every tenant database up to date.

    A database that fails does not stop the others; those that failed are named at the end. A
    tenant whose own feed is not known yet gets the feed of its database, if no other has one.
    """
    if check and dry_run:
        raise CommandFailed("give --check or --dry-run, not both", ExitCode.USAGE)
    urls = database_urls(load_settings())
    control = Target(Tree.CONTROL, CONTROL, urls.control or urls.default)
    work = _check if check else _print_sql if dry_run else _upgrade
    outcomes = _run([control], work, jobs)
    tenants, lost = _tenant_targets(urls, control)
    outcomes += [*lost, *_run(tenants, work, jobs)]
    _summarise(outcomes)
    if not dry_run:
        _adopt([target.database for target in tenants], is_dry=check)


def _adopt(databases: Sequence[str], *, is_dry: bool) -> None:
    left = administer_feeds(lambda feeds: feeds.adopt(databases, is_dry=is_dry))
    if left:
        named = "\n".join(f"  {one.tenant.slug}: {one.why}" for one in left)
        way_out = "run `syncapi migrate`" if is_dry else "`syncapi feed open` makes one its own"
        _fail(f"tenants whose own feed is not known: {len(left)}; {way_out}:\n{named}")


def _tenant_targets(urls: DatabaseUrls, control: Target) -> tuple[list[Target], list[Outcome]]:
    """Every configured or recorded tenant database, and those that have no URL."""
    names = {DEFAULT_DATABASE, *urls.named, *_list_recorded(control)}
    targets, lost = [], []
    for name in sorted(names):
        try:
            targets.append(Target(Tree.TENANT, name, urls.tenant(name)))
        except Unavailable as refusal:
            lost.append(Outcome(Target(Tree.TENANT, name, ""), "", refusal.detail))
            _print_outcome(lost[-1])
    return targets, lost


def _list_recorded(control: Target) -> list[str]:
    """The databases that tenants are in; none if there are no control tables yet."""
    try:
        if asyncio.run(current(control)) is None:
            return []
        return asyncio.run(tenant_databases(control.url))
    except Exception as error:
        if is_down(error):  # already reported as the outcome of the control database
            return []
        raise


def _run(targets: Sequence[Target], work: Callable[[Target], str], jobs: int) -> list[Outcome]:
    """Do `work` on the targets, some at once, each in a process of its own.

    Alembic keeps the migration under way in module globals, so threads cannot share it.
    """
    if not targets:
        return []
    outcomes = []
    workers = min(jobs, len(targets))
    processes = get_context("forkserver")
    processes.set_forkserver_preload([__name__])  # else each of them imports all of it by itself
    with ProcessPoolExecutor(workers, mp_context=processes) as pool:
        futures = {pool.submit(work, target): target for target in targets}
        for future in as_completed(futures):
            target, error = futures[future], future.exception()
            if error is None:
                outcome = Outcome(target, future.result())
            else:
                outcome = Outcome(target, "", str(error).strip() or type(error).__name__)
            outcomes.append(outcome)
            _print_outcome(outcome)
    return outcomes


def _upgrade(target: Target) -> str:
    before = asyncio.run(_find_revision(target))
    if before == head(target):
        return f"is up to date ({before})"
    try:
        upgrade(target)
    except Exception as error:
        stopped = why_stopped(error)
        if stopped is not None:
            raise CommandFailed(stopped) from None  # see `_find_revision`
        raise
    return f"upgraded from {before or 'nothing'} to {head(target)}"


def _check(target: Target) -> str:
    reached, newest = asyncio.run(_find_revision(target)), head(target)
    if reached != newest:
        raise CommandFailed(
            f"is at {reached or 'nothing'}, not at {newest}: run `syncapi migrate`"
        )
    return f"is up to date ({reached})"


def _print_sql(target: Target) -> str:
    reached = asyncio.run(_find_revision(target))
    if reached == head(target):
        return f"-- {target.label} is up to date ({reached})"
    title = f"-- {target.label}: {reached or 'nothing'} to {head(target)}"
    return f"{title}\n{upgrade_sql(target, reached)}"


async def _find_revision(target: Target) -> str | None:
    try:
        revision = await current(target)
    except Exception as error:
        if is_down(error):
            # A message alone: the driver's exceptions cannot be passed to another process.
            raise CommandFailed(f"cannot be reached: {error}", ExitCode.UNREACHABLE) from None
        raise
    if not is_known(target, revision):
        raise CommandFailed(
            f"is at {revision}, which this release does not know. Run the release that migrated "
            "it, or a later one. A database from before the first release must be made anew"
        )
    return revision


def _print_outcome(outcome: Outcome) -> None:
    if outcome.error is not None:
        typer.echo(f"{outcome.target.label} failed: {outcome.error}", err=True)
    elif outcome.done.startswith("--"):
        typer.echo(outcome.done)
    else:
        typer.echo(f"{outcome.target.label} {outcome.done}")


def _summarise(outcomes: Sequence[Outcome]) -> None:
    failed = [outcome.target.label for outcome in outcomes if outcome.error is not None]
    if failed:
        _fail(f"{len(failed)} of {len(outcomes)} failed: {', '.join(failed)}")


def _fail(message: str) -> NoReturn:
    raise CommandFailed(message)
