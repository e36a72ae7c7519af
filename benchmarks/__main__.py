"""Run the benchmarks and print their ratios."""

import argparse

import uvloop

from benchmarks.pull import depth, idle_poll_against_empty_route, page_against_libpq
from benchmarks.push import pushes_against_plain_inserts
from benchmarks.setting import running, seed


async def main() -> None:
    parser = argparse.ArgumentParser(description="Measure ratios, side by side in one run.")
    parser.add_argument("only", nargs="*", help="a, b, c, d: which; all by default")
    parser.add_argument("--documents", type=int, default=1_000_000, help="of the depth test")
    parser.add_argument("--rows", type=int, default=4_000, help="of each cell of the push test")
    arguments = parser.parse_args()
    wanted = set(arguments.only or "abcd")
    async with running() as setting:
        if "a" in wanted:
            tenant = await seed(setting, 20_000)
            for is_prepared in (False, True):
                ratio = await page_against_libpq(
                    setting, tenant, is_prepared=is_prepared, pairs=200
                )
                print(ratio.report(), flush=True)
        if "b" in wanted:
            print(
                (await idle_poll_against_empty_route(setting, rounds=7, seconds=2)).report(),
                flush=True,
            )
        if "d" in wanted:
            async for row in pushes_against_plain_inserts(setting, rows=arguments.rows):
                print(row, flush=True)
        if "c" in wanted:
            print(
                (await depth(setting, documents=arguments.documents, pairs=200)).report(),
                flush=True,
            )


uvloop.run(main())
