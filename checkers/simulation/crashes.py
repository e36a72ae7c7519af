"""What befalls a sync at the moments when it changes the disk: crashes, and people who act."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import Any, Final
from unittest import mock

from syncapi.client import durable
from syncapi.client.store.store import Store

_COMMIT: Final = "_commit"
_MOMENTS: Final = (
    (durable, "sync_file"),
    (durable, "sync_folder"),
    (durable, "replace"),
    (durable, "move"),
    (durable, "exchange"),
    (durable, "remove"),
    (Store, _COMMIT),
)
_is_beside = ContextVar("is_beside", default=False)

Hook = Callable[[str, Callable[[], Any]], Any]
"""Takes the name of a change of the disk and what makes the change."""


class Crashed(BaseException):
    """The process is gone. Nothing but the simulation catches it."""


@contextmanager
def crash_at(moment: int, *, is_after: bool, among: Collection[str] = ()) -> Iterator[list[str]]:
    """End whatever runs inside at its ``moment``-th change of the disk, from 1.

    Args:
        moment: 0 or more than there are: nothing ends.
        is_after: the change happens, but the process does not hear of it.
        among: names of the changes that count; all of them if it is empty.

    Yields:
        The changes so far, to count them.
    """
    seen: list[str] = []

    def crash(name: str, change: Callable[[], Any]) -> Any:  # noqa: ANN401 - what the real one returns
        if among and name not in among and not 0 < moment <= len(seen):
            return change()
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
def act_at(moments: Collection[int], act: Callable[[], object]) -> Iterator[None]:
    """Act at each of these changes of the disk, which are counted from 1: right before it.

    At a commit it is right after it: until then nobody else can write to the store.
    """
    seen: list[str] = []

    def interrupt(name: str, change: Callable[[], Any]) -> Any:  # noqa: ANN401 - what the real one returns
        seen.append(name)
        is_now = len(seen) in moments
        if is_now and name != _COMMIT:
            _unhooked(act)
        result = change()
        if is_now and name == _COMMIT:
            _unhooked(act)
        return result

    with _hooked(interrupt):
        yield


def beside(work: Coroutine[Any, Any, str]) -> str:
    """Do something as another process would, while the caller waits: nothing of it is hooked."""

    async def do() -> str:
        _is_beside.set(True)
        return await work

    with ThreadPoolExecutor(1) as other:
        return other.submit(asyncio.run, do()).result()


def _unhooked(act: Callable[[], object]) -> None:
    token = _is_beside.set(True)
    try:
        act()
    finally:
        _is_beside.reset(token)


@contextmanager
def _hooked(hook: Hook) -> Iterator[None]:
    def wrapped(real: Callable[..., Any], name: str) -> Callable[..., Any]:
        def change(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - whatever the real one takes
            if _is_beside.get():
                return real(*arguments, **named)
            return hook(name, lambda: real(*arguments, **named))

        return change

    with ExitStack() as patches:
        for where, name in _MOMENTS:
            real = getattr(where, name)
            patches.enter_context(mock.patch.object(where, name, wrapped(real, name)))
        yield
