"""``make soak SECONDS=… SEED=…``: check the feed at random for as long as you like.

Exit codes: 0 every replica equalled the server, 1 one did not: the evidence is printed.
"""

import argparse
import asyncio
import random
import sys
from contextlib import AsyncExitStack

from soak.checker import Cast, Checker, Outcome
from soak.disturbances import make_clock_step, make_stamps_naive
from soak.ground import Ground, ground
from soak.killer import kill
from soak.session import session
from soak.tally import Budget, Tally
from soak.world import World, open_world


def main() -> int:
    """Run the checker on servers of its own."""
    options = _options()
    print(f"seed {options.seed}, {options.seconds} s; starting PostgreSQL, S3, Valkey, syncapi")
    outcome = asyncio.run(_run(options))
    print(outcome)
    if outcome.misses:
        print(f"\n{len(outcome.misses)} misses: the feed lost changes.")
        return 1
    print("\nEvery replica equals the server.")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="how long is written")
    parser.add_argument("--seed", type=int, default=1, help="of all draws")
    parser.add_argument("--tenants", type=int, default=3)
    parser.add_argument("--no-kills", action="store_true", help="leave all processes alone")
    parser.add_argument(
        "--naive", action="store_true", help="stamp with now(): the checker must find misses"
    )
    return parser.parse_args()


async def _run(options: argparse.Namespace) -> Outcome:
    async with ground() as found, AsyncExitStack() as stack:
        world = await open_world(found.url, found.settings, stack, tenants=options.tenants)
        async with session(world.database_url) as connection:
            await make_clock_step(connection)
            if options.naive:
                await make_stamps_naive(connection)
        checker = Checker(world, seed=options.seed, cast=_cast(options))
        budget = Budget(seconds=options.seconds)
        others = [_progress(budget, checker.tally)]
        if not (options.no_kills or options.naive):
            others.append(_kills(found, world, budget, checker.tally, options.seed))
        return await checker.run(budget, *others)


def _cast(options: argparse.Namespace) -> Cast:
    if options.naive:  # its clock is a view: what ticks it does not work there
        return Cast(api_writers=0, is_disturbed=False)
    return Cast(time_readers=2)


async def _kills(found: Ground, world: World, budget: Budget, tally: Tally, seed: int) -> None:
    await kill(found, world, budget, tally, random.Random(f"{seed} killer"))


async def _progress(budget: Budget, tally: Tally) -> None:
    """Say every ten seconds how far it has come."""
    seconds = 0
    while not budget.is_over:
        await budget.pause(10)
        seconds += 10
        commits = sum(n for what, n in tally.counts.items() if what.startswith("sql: committed"))
        pages = tally.counts["read: pages"]
        print(f"  {seconds:>6} s  {commits:>9,} commits  {pages:>9,} pages", flush=True)


if __name__ == "__main__":
    sys.exit(main())
