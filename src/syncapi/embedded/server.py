"""What the three servers have in common: folder, ports, start, readiness, stop, kill."""

import signal
import threading
import time
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from syncapi.embedded.child import Child, Command
from syncapi.embedded.errors import EmbeddedError, EndedEarlyError, last_lines
from syncapi.embedded.folder import ServerFolder
from syncapi.embedded.ports import free_port, is_free

_POLL_SECONDS = 0.05
_STARTS = 3


class Server(ABC):
    """A server from a wheel, on a loopback port, with its data in a folder of its own.

    Args:
        data_dir: made if need be; data, secrets and ports in it survive a restart.
        port: to listen on; None for the one of the last run if it is free, or else any free one.
        durable: whether data survives a crash of the machine. False is faster, for tests.
    """

    label: ClassVar[str]
    stop_signal: ClassVar[signal.Signals]
    start_seconds: ClassVar[float] = 60
    stop_seconds: ClassVar[float] = 15

    def __init__(self, data_dir: Path, port: int | None = None, *, durable: bool = True) -> None:
        self.folder = ServerFolder(data_dir)
        self.durable = durable
        self._wanted_port = port
        self._lock = threading.RLock()
        self._is_unwanted = threading.Event()
        self._port: int | None = None
        self._child = Child(
            record=self.folder.path / "process.json",
            log=self.log,
            stop_signal=self.stop_signal,
        )

    @property
    def port(self) -> int:
        """The port that the server listens on. Raises `EmbeddedError` before the first start."""
        if self._port is None:
            raise EmbeddedError(f"{self.label} has not been started")
        return self._port

    @property
    def pid(self) -> int | None:
        return self._child.pid

    @property
    def is_running(self) -> bool:
        return self._child.is_running

    @property
    def log(self) -> Path:
        return self.folder.path / "server.log"

    def start(self) -> None:
        """Start, or start again after a crash, and return when the server really serves.

        Raises:
            EmbeddedError: it does not start, its port is taken, its folder is in use, or
                another thread stops it meanwhile.
        """
        with self._lock:
            self._is_unwanted.clear()
            self.folder.claim()
            try:
                self._child.recover(self.stop_seconds)
                self._clean_up()
                self._prepare()
                self._start_on_free_ports()
            except BaseException:
                self.kill()
                raise

    def _start_on_free_ports(self) -> None:
        """A port found free may be taken before the server binds it: then try others."""
        for attempt in range(1, _STARTS + 1):
            self._choose_ports(afresh=attempt > 1)
            self._child.spawn(self._command())
            try:
                self._wait_until_ready()
            except EndedEarlyError:
                self._child.kill()
                if self._wanted_port is not None or attempt == _STARTS:
                    raise
            else:
                return

    def stop(self) -> None:
        """Stop in order, and return when no process is left."""
        self._is_unwanted.set()
        with self._lock:
            self._child.stop(self.stop_seconds)
            self._clean_up()
            self.folder.release()

    def kill(self) -> None:
        """SIGKILL for the server and all it started: a crash. `start` recovers from it."""
        self._is_unwanted.set()
        with self._lock:
            self._child.kill()
            self._clean_up()
            self.folder.release()

    def restart(self) -> None:
        """Stop and start on the same port."""
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _choose_ports(self, *, afresh: bool) -> None:
        self._port = self._wanted_port or self._pick("port", afresh=afresh)
        if not is_free(self._port):
            raise EmbeddedError(f"port {self._port} is taken: {self.label} cannot listen there")

    def _pick(self, name: str, *, afresh: bool, offset: int = 0) -> int:
        """The port remembered under `name` if it is free, else a new one."""
        port: int | None = self.folder.remembered().get(name)
        if afresh or port is None or not (is_free(port) and is_free(port + offset)):
            port = free_port(offset=offset)
            self.folder.remember(**{name: port})
        return port

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + self.start_seconds
        while not self._is_ready():
            if self._is_unwanted.is_set():
                raise EmbeddedError(f"{self.label} was stopped while it started")
            if not self._child.is_running:
                raise EndedEarlyError(self._failure("ended while starting"))
            if time.monotonic() > deadline:
                raise EmbeddedError(self._failure(f"not ready after {self.start_seconds:g} s"))
            time.sleep(_POLL_SECONDS)

    def _failure(self, what: str) -> str:
        return f"{self.label}: {what}. The end of {self.log}:\n{last_lines(self.log)}"

    def _clean_up(self) -> None:  # noqa: B027 - most servers leave nothing outside their folder
        """Remove what the server leaves outside its folder."""

    @abstractmethod
    def _prepare(self) -> None:
        """Make what must be there before the first start."""

    @abstractmethod
    def _command(self) -> Command:
        """What to run, with the ports chosen."""

    @abstractmethod
    def _is_ready(self) -> bool:
        """Whether the server serves us, secret and all."""
