"""`syncapi sync` with one large file, up from a folder and down to another: its memory."""

import filecmp
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

from benchmarks.client import filled
from benchmarks.command_line import environment_of, first_sync, peak_memory
from benchmarks.large_file import MIB, Content
from benchmarks.setting import Setting


async def sync_a_large_file(setting: Setting, size: int) -> AsyncIterator[str]:
    """Take it up and down, beside a file of 1 MiB in the same run; both ends are compared.

    Yields:
        Lines to print.

    Raises:
        RuntimeError: a sync failed, or other bytes arrived.
    """
    small = MIB, await _peaks(setting, MIB)
    large = size, await _peaks(setting, size)
    for size_, peaks in (small, large):
        for what, (seconds, peak) in peaks.items():
            more = peak - small[1][what][1]
            yield (
                f"  syncapi sync, {size_ / MIB:8,.0f} MiB {what:<5} {seconds:8.1f} s   "
                f"VmHWM {peak / MIB:4.0f} MiB ({more / MIB:+.0f})"
            )


async def _peaks(setting: Setting, size: int) -> dict[str, tuple[float, int]]:
    """Seconds and bytes of memory, up and down."""
    tenant = await filled(setting, 0)
    with tempfile.TemporaryDirectory(prefix="syncapi-bench-") as name:
        place = Path(name)
        environment = environment_of(setting, tenant, place)
        source, copy = place / "there" / "large.bin", place / "here" / "large.bin"
        source.parent.mkdir()
        with source.open("wb") as file:
            file.writelines(Content.of(size).blocks())
        found = {}
        for what, path in (("up", source), ("down", copy)):
            began = time.perf_counter()
            *before, sync = first_sync(path.parent)
            for command in before:
                peak_memory(environment, place, command)
            peak = peak_memory(environment, place, sync)
            found[what] = time.perf_counter() - began, peak
        if not filecmp.cmp(source, copy, shallow=False):
            raise RuntimeError("other bytes arrived")
    return found
