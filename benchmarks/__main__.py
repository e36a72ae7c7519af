"""Run the benchmarks and print their ratios."""

import argparse
import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import uvloop

from benchmarks.before_after import pushes_before_and_after
from benchmarks.client import client_against_others
from benchmarks.large_client import sync_a_large_file
from benchmarks.large_file import MIB, LargeFile
from benchmarks.pull import depth, idle_poll_against_empty_route, page_against_libpq
from benchmarks.push import pushes_against_plain_inserts
from benchmarks.setting import Setting, running, seed

Options = argparse.Namespace


async def _page(setting: Setting, _options: Options) -> AsyncIterator[str]:
    tenant = await seed(setting, 20_000)
    for is_prepared in (False, True):
        ratio = await page_against_libpq(setting, tenant, is_prepared=is_prepared, pairs=200)
        yield ratio.report()


async def _idle_poll(setting: Setting, _options: Options) -> AsyncIterator[str]:
    yield (await idle_poll_against_empty_route(setting, rounds=7, seconds=2)).report()


async def _depth(setting: Setting, options: Options) -> AsyncIterator[str]:
    yield (await depth(setting, documents=options.documents, pairs=200)).report()


async def _pushes(setting: Setting, options: Options) -> AsyncIterator[str]:
    async for row in pushes_against_plain_inserts(setting, rows=options.rows):
        yield row


async def _before_after(setting: Setting, options: Options) -> AsyncIterator[str]:
    if options.before is None:
        yield "before_after needs --before CHECKOUT"
        return
    async with running(options.before) as before:
        async for row in pushes_before_and_after(before, setting, rounds=options.rounds):
            yield row


async def _client(setting: Setting, options: Options) -> AsyncIterator[str]:
    async for line in client_against_others(setting, options.files):
        yield line


async def _large_file(setting: Setting, options: Options) -> AsyncIterator[str]:
    tenant = await seed(setting, 1)
    file = LargeFile(setting, tenant, options.mebibytes * MIB, seconds=options.seconds)
    await asyncio.to_thread(file.run, options.form_mebibytes * MIB)
    yield ""


async def _large_client(setting: Setting, options: Options) -> AsyncIterator[str]:
    async for line in sync_a_large_file(setting, options.mebibytes * MIB):
        yield line


BENCHMARKS = {
    "a": _page,
    "b": _idle_poll,
    "d": _pushes,
    "before_after": _before_after,
    "client": _client,
    "large_file": _large_file,
    "large_client": _large_client,
    "c": _depth,
}
BY_DEFAULT = ("a", "b", "c", "d")


def _options() -> Options:
    parser = argparse.ArgumentParser(description="Measure ratios, side by side in one run.")
    parser.add_argument("only", nargs="*", help=f"{', '.join(BENCHMARKS)}")
    parser.add_argument("--documents", type=int, default=1_000_000, help="of the depth test")
    parser.add_argument("--rows", type=int, default=4_000, help="of each cell of the push test")
    parser.add_argument("--before", type=Path, help="another checkout, for before_after")
    parser.add_argument("--rounds", type=int, default=9, help="of before_after")
    parser.add_argument("--files", type=int, default=10_000, help="of the client's test")
    parser.add_argument("--mebibytes", type=int, default=10_240, help="of the large file")
    parser.add_argument("--form-mebibytes", type=int, default=2_048, help="of the one by form")
    parser.add_argument("--seconds", type=float, default=3600, help="that the large file may take")
    return parser.parse_args()


async def main() -> None:
    options = _options()
    wanted = set(options.only or BY_DEFAULT)
    async with running() as setting:
        for name, benchmark in BENCHMARKS.items():
            if name in wanted:
                async for line in benchmark(setting, options):
                    print(line, flush=True)


uvloop.run(main())
