"""``make soak SECONDS=… SEED=…``: check the feed at random for as long as you like.

Exit codes: 0 every replica equalled the server and every push became what was told of it, 1 one
did not: the evidence is printed.
"""

import argparse
import asyncio
import random
import sys
from contextlib import AsyncExitStack, closing
from pathlib import Path

from soak.checker import Cast, Checker, Outcome
from soak.disturbances import make_clock_step, make_stamps_naive
from soak.ground import ground
from soak.killer import kill
from soak.operator import Operator
from soak.promoter import Promoter
from soak.reader import ProtocolError
from soak.restorer import Restorer
from soak.session import session
from soak.stories import Fork
from soak.tally import Budget, Tally
from soak.world import open_world
from syncapi.embedded.ports import free_port


def main() -> int:
    """Run the checker on servers of its own."""
    options = _options()
    print(f"seed {options.seed}, {options.seconds} s; starting PostgreSQL, S3, Valkey, syncapi")
    try:
        outcome = asyncio.run(_run(options))
    except* ProtocolError as group:
        _keep(group, options.evidence)
        raise
    print(outcome)
    if outcome.misses:
        outcome.keep_evidence(options.evidence)
        print(
            f"\n{len(outcome.misses)} misses. All of them, and the last requests of each client "
            f"that has one, are in {options.evidence}."
        )
        return 1
    print("\nEvery replica equals the server, and every push became what it was told.")
    return 0


def _keep(group: BaseExceptionGroup[ProtocolError], folder: Path) -> None:
    """Write the last requests of each client that had an answer which must not be."""
    folder.mkdir(parents=True, exist_ok=True)
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            _keep(error, folder)
        else:
            error.exchanges.write(folder / f"{error.actor}.log")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="how long is written")
    parser.add_argument("--seed", type=int, default=1, help="of all draws")
    parser.add_argument("--tenants", type=int, default=3)
    parser.add_argument(
        "--evidence", type=Path, default=Path("soak-evidence"), help="folder for what was missed"
    )
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--no-kills", action="store_true", help="leave all processes alone")
    kind.add_argument(
        "--promotions", action="store_true", help="fail over, again and again, to lagging standbys"
    )
    kind.add_argument(
        "--restores", action="store_true", help="put base backups back, again and again"
    )
    kind.add_argument(
        "--naive", action="store_true", help="stamp with now(): the checker must find misses"
    )
    return parser.parse_args()


async def _run(options: argparse.Namespace) -> Outcome:
    standby_port = free_port() if options.promotions else None
    async with ground(standby_port, processes=2) as found, AsyncExitStack() as stack:
        world = await open_world([*found.services], found.settings, stack, tenants=options.tenants)
        async with session(world.database_url) as connection:
            await make_clock_step(connection)
            if options.naive:
                await make_stamps_naive(connection)
        forks: list[Fork] = []
        checker = Checker(world, seed=options.seed, cast=_cast(options), forks=forks)
        budget = Budget(seconds=options.seconds)
        others = [_progress(budget, checker.tally)]
        rng = random.Random(f"{options.seed} killer")
        operator = Operator(world.database_url, checker.tally, voids=_reads_by_time(options))
        if standby_port is not None:
            promoter = stack.enter_context(closing(Promoter(found, standby_port, forks, operator)))
            others.append(promoter.promote(budget, checker.tally, rng))
        elif options.restores:
            restorer = stack.enter_context(closing(Restorer(found, forks, operator)))
            others.append(restorer.restore(budget, checker.tally, rng))
        elif not (options.no_kills or options.naive):
            others.append(kill(found, world, budget, checker.tally, rng))
        return await checker.run(budget, *others)


def _reads_by_time(options: argparse.Namespace) -> bool:
    """Whether losses are voided; not in every run: a void heals what cursors have missed."""
    return bool(options.seed % 2 == 1)


def _cast(options: argparse.Namespace) -> Cast:
    if options.naive:  # its clock is a view: what ticks it does not work there
        return Cast(api_writers=0, devices=0, is_disturbed=False)
    if options.promotions or options.restores:
        by_time = _reads_by_time(options)
        return Cast(
            cursor_readers=6,
            time_readers=1 if by_time else 0,
            largest_page=20,
            has_stepping_clock=not by_time,  # a void is an hour ahead of what was given out before
            is_voided=by_time,
            loses_history=True,
        )
    return Cast(time_readers=1)


async def _progress(budget: Budget, tally: Tally) -> None:
    """Say every ten seconds how far it has come."""
    seconds = 0
    while not budget.is_over:
        await budget.pause(10)
        seconds += 10
        commits = sum(n for what, n in tally.counts.items() if what.startswith("sql: committed"))
        pages = tally.counts["read: pages"]
        applied = sum(n for what, n in tally.counts.items() if what.endswith(", applied"))
        done = f"{commits:>9,} commits  {pages:>9,} pages  {applied:>7,} pushed"
        print(f"  {seconds:>6} s  {done}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
