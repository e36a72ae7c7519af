"""``make soak SECONDS=… SEED=…``: check the feed at random for as long as you like.

Exit codes: 0 every replica equalled the server and every push became what was told of it, 1 one
did not: the evidence is printed.
"""

import argparse
import asyncio
import random
import sys
from contextlib import AsyncExitStack

from soak.checker import Cast, Checker, Outcome
from soak.disturbances import make_clock_step, make_stamps_naive
from soak.ground import ground
from soak.killer import kill
from soak.promoter import Promoter
from soak.session import session
from soak.stories import Fork
from soak.tally import Budget, Tally
from soak.world import open_world
from syncapi.embedded.ports import free_port


def main() -> int:
    """Run the checker on servers of its own."""
    options = _options()
    print(f"seed {options.seed}, {options.seconds} s; starting PostgreSQL, S3, Valkey, syncapi")
    outcome = asyncio.run(_run(options))
    print(outcome)
    if outcome.misses:
        print(f"\n{len(outcome.misses)} misses.")
        return 1
    print("\nEvery replica equals the server, and every push became what it was told.")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="how long is written")
    parser.add_argument("--seed", type=int, default=1, help="of all draws")
    parser.add_argument("--tenants", type=int, default=3)
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--no-kills", action="store_true", help="leave all processes alone")
    kind.add_argument(
        "--promotions", action="store_true", help="fail over, again and again, to lagging standbys"
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
        if standby_port is not None:
            promoter = stack.enter_context(Promoter(found, standby_port, forks))
            others.append(promoter.promote(budget, checker.tally, rng))
        elif not (options.no_kills or options.naive):
            others.append(kill(found, world, budget, checker.tally, rng))
        return await checker.run(budget, *others)


def _cast(options: argparse.Namespace) -> Cast:
    if options.naive:  # its clock is a view: what ticks it does not work there
        return Cast(api_writers=0, devices=0, is_disturbed=False)
    if options.promotions:  # a time alone does not tell which history it belongs to
        return Cast(
            cursor_readers=6,
            time_readers=0,
            largest_page=20,
            is_voided=False,
            is_checked_under_way=False,
        )
    return Cast(time_readers=2)


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
