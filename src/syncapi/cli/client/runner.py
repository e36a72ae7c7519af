"""A verb's asynchronous part at work, until it ends or is asked to."""

import asyncio
import signal
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from syncapi.cli.exit_codes import CommandFailed, ExitCode

Result = TypeVar("Result")

_RESUMED = "what was done is kept, and the next sync goes on from here"


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run `work` to its end. At Ctrl-C or SIGTERM it is cancelled, and tidies up.

    Raises:
        CommandFailed: it was asked to end.
    """
    asked: list[signal.Signals] = []
    try:
        return asyncio.run(_cancelled_by_sigterm(work, asked))
    except KeyboardInterrupt:
        raise CommandFailed("stopped by Ctrl-C", ExitCode.INTERRUPTED, hint=_RESUMED) from None
    except asyncio.CancelledError:
        if not asked:
            raise
        raise CommandFailed("stopped by SIGTERM", ExitCode.TERMINATED, hint=_RESUMED) from None


async def _cancelled_by_sigterm(
    work: Coroutine[Any, Any, Result], asked: list[signal.Signals]
) -> Result:
    task = asyncio.ensure_future(work)

    def end() -> None:
        asked.append(signal.SIGTERM)
        task.cancel()

    with suppress(NotImplementedError):  # Windows: there SIGTERM ends a process at once
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end)
    return await task


def stop_at_signals(stop: asyncio.Event) -> None:
    """Have Ctrl-C and SIGTERM set `stop`, for work that ends by itself then."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):
            loop.add_signal_handler(number, stop.set)
