"""Run the benchmarks and print their ratios."""

import argparse
import asyncio

import uvloop

from benchmarks.large_file import MIB, LargeFile
from benchmarks.pull import depth, idle_poll_against_empty_route, page_against_libpq
from benchmarks.push import pushes_against_plain_inserts
from benchmarks.setting import running, seed


async def main() -> None:
    parser = argparse.ArgumentParser(description="Measure ratios, side by side in one run.")
    parser.add_argument("only", nargs="*", help="a, b, c, d (the default), large_file")
    parser.add_argument("--documents", type=int, default=1_000_000, help="of the depth test")
    parser.add_argument("--rows", type=int, default=4_000, help="of each cell of the push test")
    parser.add_argument("--mebibytes", type=int, default=10_240, help="of the large file")
    parser.add_argument("--form-mebibytes", type=int, default=2_048, help="of the one by form")
    parser.add_argument("--seconds", type=float, default=3600, help="that the large file may take")
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
        if "large_file" in wanted:
            file = LargeFile(
                setting,
                await seed(setting, 1),
                arguments.mebibytes * MIB,
                seconds=arguments.seconds,
            )
            await asyncio.to_thread(file.run, arguments.form_mebibytes * MIB)
        if "c" in wanted:
            print(
                (await depth(setting, documents=arguments.documents, pairs=200)).report(),
                flush=True,
            )


uvloop.run(main())
