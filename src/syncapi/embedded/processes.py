"""Reads /proc: which processes are ours, which are children of which, and which are gone."""

import contextlib
import os
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_PROC = Path("/proc")
_POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A process for certain: a pid alone may have been given to another since.

    Attributes:
        started: when, in clock ticks since boot.
        boot: the kernel's id of this boot.
    """

    pid: int
    started: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """The living process with that pid; None if there is none."""
        stat = _stat(pid)
        return None if stat is None else cls(pid, stat.started, _boot_id())

    @property
    def is_alive(self) -> bool:
        return ProcessId.of(self.pid) == self

    def send(self, number: signal.Signals) -> None:
        """Signal the process if it still is the same one."""
        if self.is_alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


@dataclass(frozen=True, slots=True)
class _Stat:
    name: str
    parent: int
    started: int


def _stat(pid: int) -> _Stat | None:
    """proc_pid_stat(5), None for a process that is gone or a zombie."""
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    before, _, after = text.rpartition(")")
    fields = after.split()
    if fields[0] in "ZX":
        return None
    return _Stat(before.partition("(")[2], parent=int(fields[1]), started=int(fields[19]))


def _boot_id() -> str:
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


def _pids() -> Iterator[int]:
    return (int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit())


def descendants(root: int) -> list[ProcessId]:
    """Children, their children and so on; `root` itself is not among them."""
    parents = {pid: stat.parent for pid in _pids() if (stat := _stat(pid))}
    found: list[int] = []
    generation = [root]
    while generation:
        generation = [pid for pid, parent in parents.items() if parent in generation]
        found += generation
    return [process for pid in found if (process := ProcessId.of(pid))]


def working_in(folder: Path, name: str) -> list[ProcessId]:
    """Processes called `name` whose working folder is `folder`."""
    found: list[ProcessId] = []
    for pid in _pids():
        stat = _stat(pid)
        if stat is not None and stat.name == name and _works_in(pid, folder):
            found += filter(None, [ProcessId.of(pid)])
    return found


def _works_in(pid: int, folder: Path) -> bool:
    try:
        return (_PROC / str(pid) / "cwd").samefile(folder)
    except OSError:
        return False


def wait_gone(processes: Iterable[ProcessId], seconds: float) -> list[ProcessId]:
    """Wait until all ended, at most `seconds`; returns those that did not."""
    deadline = time.monotonic() + seconds
    remaining = [process for process in processes if process.is_alive]
    while remaining and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
        remaining = [process for process in remaining if process.is_alive]
    return remaining


def end(processes: Iterable[ProcessId], gentle: signal.Signals, seconds: float) -> None:
    """Ask with the signal `gentle`; after `seconds` end by force those that still run."""
    processes = list(processes)
    for process in processes:
        process.send(gentle)
    for process in wait_gone(processes, seconds):
        process.send(signal.SIGKILL)
    wait_gone(processes, seconds)
