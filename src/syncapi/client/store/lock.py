"""One process at a time works on a replica."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from filelock import FileLock, Timeout

from syncapi.client.errors import StoreBusy

_WAIT_FOR_A_DECISION: Final = 10.0
"""In seconds; a decision takes milliseconds, unless the trash is on another file system."""


class ReplicaLock:
    """Held from `with` to its end; the system lets go of it when a process dies.

    Raises:
        StoreBusy: at once, if another has it; the message names the process and since when.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "replica.lock"
        self._lock = FileLock(
            self._path, timeout=0, mode=0o600, thread_local=False, on_acquired=_sign
        )

    def __enter__(self) -> Self:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            self._lock.acquire()
        except Timeout as error:
            raise StoreBusy(
                f"{_holder(self._path)} works on {self._path.parent}.",
                hint="Wait until it has ended, or end it.",
            ) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._lock.release()


@contextmanager
def rebuilding(folder: Path, *, wait: float) -> Iterator[None]:
    """Alone in making a store or in moving it to another key, if within `wait` seconds.

    Raises:
        StoreBusy: another process is at it.
    """
    with _alone(
        folder / "store.lock", wait, f"Another process is making {folder} or changing its key."
    ):
        yield


@contextmanager
def deciding(folder: Path) -> Iterator[None]:
    """Alone in deciding the conflicts of a folder that is kept in step, within ten seconds.

    Raises:
        StoreBusy: another process is at it for longer.
    """
    with _alone(
        folder / "decisions.lock",
        _WAIT_FOR_A_DECISION,
        f"Another process is settling a conflict of {folder}.",
    ):
        yield


@contextmanager
def _alone(path: Path, wait: float, otherwise: str) -> Iterator[None]:
    """Hold a lock; say `otherwise` where another process has it for longer than `wait` seconds."""
    try:
        with FileLock(path, timeout=wait, mode=0o600):
            yield
    except Timeout as error:
        raise StoreBusy(otherwise, hint="Try again when it has ended.") from error


def _sign(descriptor: int) -> None:
    """Leave word who has it. It need not survive a crash, since the lock does not either."""
    since = datetime.now(UTC).isoformat(timespec="seconds")
    os.truncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "since": since}).encode(), 0)


def _holder(path: Path) -> str:
    try:
        signed = json.loads(path.read_text(encoding="utf-8"))
        return f"Process {signed['pid']} (since {signed['since']})"
    except (OSError, ValueError, LookupError, TypeError):  # it has not signed yet
        return "Another process"
