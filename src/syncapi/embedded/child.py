"""One server's process: started on a leash, recorded on disk, stopped, killed, recovered."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import BinaryIO

from syncapi.embedded import die_with_parent
from syncapi.embedded.folder import write_private
from syncapi.embedded.processes import ProcessId, descendants, end, wait_gone

_KILL_SECONDS = 10.0
_LOG_LIMIT_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Command:
    """What to run.

    Attributes:
        environment: added to ours.
        owner: the user and group to run as; None for ours.
        pass_fds: open descriptors that the process inherits.
    """

    argv: Sequence[str | Path]
    environment: Mapping[str, str] = field(default_factory=dict)
    owner: tuple[int, int] | None = None
    pass_fds: tuple[int, ...] = ()


class Child:
    """A process that ends with ours, however ours ends.

    Its pid and start time are kept in `record`, so that the next run can end a process that a
    killed run has left behind. Without a `log` it writes to our own output.
    """

    def __init__(self, record: Path, log: Path | None, stop_signal: signal.Signals) -> None:
        self.log = log
        self._record = record
        self._stop_signal = stop_signal
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return None if self._popen is None else self._popen.pid

    @property
    def is_running(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    def spawn(self, command: Command) -> None:
        """Start the process; one left behind by an earlier run must have been recovered."""
        self._popen = _spawner().submit(self._open, command).result()
        if process := ProcessId.of(self._popen.pid):
            write_private(self._record, json.dumps(asdict(process)))

    def _open(self, command: Command) -> subprocess.Popen[bytes]:
        with _opened_log(self.log) if self.log else nullcontext() as log:
            return subprocess.Popen(  # noqa: S603
                leashed(command, self._stop_signal),
                cwd=self._record.parent,
                env={**os.environ, **command.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=command.pass_fds,
                start_new_session=True,  # Ctrl-C is for us: we stop the servers in order
            )

    def stop(self, seconds: float) -> None:
        """Ask it to end and wait; after `seconds` it is killed."""
        if self._popen is None:
            return
        family = descendants(self._popen.pid)
        self._popen.send_signal(self._stop_signal)
        try:
            self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
        end(family, self._stop_signal, _KILL_SECONDS)
        self._forget()

    def kill(self) -> None:
        """SIGKILL for the process and all it started, as a power cut would."""
        if self._popen is None:
            return
        self._popen.send_signal(signal.SIGSTOP)  # so that it starts no more children meanwhile
        family = descendants(self._popen.pid)
        self._popen.kill()
        for process in family:
            process.send(signal.SIGKILL)
        self._popen.wait(_KILL_SECONDS)
        wait_gone(family, _KILL_SECONDS)
        self._forget()

    def recover(self, seconds: float) -> None:
        """End what an earlier run left behind, if it certainly is ours."""
        self.kill()  # one of this run, that has crashed
        if not self._record.exists():
            return
        process = _recorded(self._record)
        if process is not None and process.is_alive:
            family = descendants(process.pid)
            end([process], self._stop_signal, seconds)
            end(family, self._stop_signal, _KILL_SECONDS)
        self._record.unlink()

    def _forget(self) -> None:
        self._popen = None
        self._record.unlink(missing_ok=True)


def leashed(command: Command, stop_signal: signal.Signals = signal.SIGTERM) -> list[str]:
    """The arguments that run `command` so that it ends with the thread that starts it."""
    owner = "-" if command.owner is None else "{}:{}".format(*command.owner)
    leash_on = [
        sys.executable,
        "-I",
        "-S",
        die_with_parent.__file__,
        str(os.getpid()),
        str(int(stop_signal)),
    ]
    return [*leash_on, owner, *map(str, command.argv)]


@cache
def _spawner() -> ThreadPoolExecutor:
    """The thread that starts every child.

    The kernel ends a leashed process with the *thread* that started it, so that thread must live
    as long as we do.
    """
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="embedded-spawner")


def _recorded(record: Path) -> ProcessId | None:
    try:
        return ProcessId(**json.loads(record.read_text()))
    except (ValueError, TypeError):  # cut short by a crash
        return None


def _opened_log(log: Path) -> BinaryIO:
    if log.exists() and log.stat().st_size > _LOG_LIMIT_BYTES:
        log.replace(log.with_suffix(".old.log"))
    return log.open("ab")
