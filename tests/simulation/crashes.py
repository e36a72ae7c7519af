"""What befalls a sync at the moments when it changes the disk: crashes, and people who act."""

from collections.abc import Callable, Collection, Iterator
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

Hook = Callable[[str, Callable[[], Any]], Any]
"""Takes the name of a change of the disk and what makes the change."""


class Crashed(BaseException):
    """The process is gone. Nothing but the simulation catches it."""


@contextmanager
def crash_at(moment: int, *, is_after: bool) -> Iterator[list[str]]:
    """End whatever runs inside at its ``moment``-th change of the disk, from 1.

    Args:
        moment: 0 or more than there are: nothing ends.
        is_after: the change happens, but the process does not hear of it.

    Yields:
        The changes so far, to count them.
    """
    seen: list[str] = []

    def crash(name: str, change: Callable[[], Any]) -> Any:  # noqa: ANN401 - what the real one returns
        seen.append(name)
        if 0 < moment < len(seen) or (len(seen) == moment and not is_after):
            raise Crashed(name)  # whatever tidies up after the crash does not happen either
        result = change()
        if len(seen) == moment:
            raise Crashed(name)
        return result

    with _hooked(crash):
        yield seen


@contextmanager
def act_at(moments: Collection[int], act: Callable[[], None]) -> Iterator[None]:
    """Act right before each of these changes of the disk, which are counted from 1."""
    seen: list[str] = []

    def interrupt(name: str, change: Callable[[], Any]) -> Any:  # noqa: ANN401 - what the real one returns
        seen.append(name)
        if len(seen) in moments:
            act()
        return change()

    with _hooked(interrupt):
        yield


@contextmanager
def _hooked(hook: Hook) -> Iterator[None]:
    def wrapped(real: Callable[..., Any], name: str) -> Callable[..., Any]:
        def change(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - whatever the real one takes
            return hook(name, lambda: real(*arguments, **named))

        return change

    with ExitStack() as patches:
        for where, name in _MOMENTS:
            real = getattr(where, name)
            patches.enter_context(mock.patch.object(where, name, wrapped(real, name)))
        yield
