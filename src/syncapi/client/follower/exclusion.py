"""One run at a time on a store, over all tasks and processes."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from syncapi.client.store.lock import ReplicaLock


class Exclusion:
    """Holds the lock of the store's folder; a task that holds it may take it again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._is_held = ContextVar("is_held", default=False)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Alone, from here to the end of the block.

        Raises:
            StoreBusy: another task or process works on the store.
        """
        if self._is_held.get():
            yield
            return
        with ReplicaLock(self._folder):
            token = self._is_held.set(True)
            try:
                yield
            finally:
                self._is_held.reset(token)
