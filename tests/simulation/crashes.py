"""Crashes at the moments when the disk changes: before it does, or right after."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final
from unittest import mock

from syncapi.client import durable
from syncapi.client.store.store import Store

_MOMENTS: Final = (
    (durable, "sync_file"),
    (durable, "sync_folder"),
    (durable, "replace"),
    (durable, "move"),
    (durable, "remove"),
    (Store, "_commit"),
)


class Crashed(BaseException):
    """The process is gone. Nothing but the simulation catches it."""


@contextmanager
def crash_at(moment: int, *, is_after: bool) -> Iterator[list[str]]:
    """End whatever runs inside at its ``moment``-th change of the disk, from 1.

    Args:
        moment: 0 or more than there are: nothing ends.
        is_after: the change comes about, but whoever asked for it does not hear of it.

    Yields:
        The changes so far, to count them.
    """
    seen: list[str] = []

    def wrapped(real: Callable[..., Any], name: str) -> Callable[..., Any]:
        def act(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - whatever the real one takes
            seen.append(name)
            if 0 < moment < len(seen) or (len(seen) == moment and not is_after):
                raise Crashed(name)  # whatever tidies up after the crash does not happen either
            result = real(*arguments, **named)
            if len(seen) == moment:
                raise Crashed(name)
            return result

        return act

    with ExitStack() as patches:
        for where, name in _MOMENTS:
            real = getattr(where, name)
            patches.enter_context(mock.patch.object(where, name, wrapped(real, name)))
        yield seen
