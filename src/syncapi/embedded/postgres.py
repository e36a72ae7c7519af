"""PostgreSQL. It refuses to be root: for root it runs as the user `nobody`."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

from typing_extensions import override

from syncapi.embedded.child import Command, leashed
from syncapi.embedded.errors import EmbeddedError
from syncapi.embedded.ports import LOOPBACK
from syncapi.embedded.postgres_binaries import installed, runnable_by, unprivileged_user
from syncapi.embedded.processes import end, working_in
from syncapi.embedded.psql import answers, psql
from syncapi.embedded.server import Server

_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "max_connections": "200",
    # In the folder, not in the machine's shared memory: that is small in containers, and a server
    # that is killed leaves its part there for good.
    "dynamic_shared_memory_type": "mmap",
    "log_line_prefix": "%m [%p] %q%d ",
}
_VOLATILE = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_wal_size": "4GB",
}
_INITDB = (
    "--auth-host=scram-sha-256",
    "--auth-local=reject",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--encoding=UTF8",
)


class PostgresServer(Server):
    """A PostgreSQL cluster with one superuser, who has a password.

    Args:
        data_dir: see `Server`.
        port: see `Server`.
        durable: see `Server`.
        settings: of ``postgresql.conf``, over ours.
    """

    label: ClassVar[str] = "PostgreSQL"
    stop_signal: ClassVar[signal.Signals] = signal.SIGINT  # "fast": ends sessions, checkpoints
    user: ClassVar[str] = "syncapi"

    def __init__(
        self,
        data_dir: Path,
        port: int | None = None,
        *,
        durable: bool = True,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(data_dir, port, durable=durable)
        self._settings = _SETTINGS | ({} if durable else _VOLATILE) | dict(settings or {})
        self._cluster_fd: int | None = None

    @property
    def cluster(self) -> Path:
        """The data directory, in PostgreSQL's sense."""
        return self.folder.path / "data"

    @property
    def bin_dir(self) -> Path:
        """Where psql, pg_dump, pg_basebackup and the others are."""
        return installed() / "bin"

    @property
    def password(self) -> str:
        return self.folder.secret("password")

    @property
    def admin_url(self) -> str:
        """URL of the superuser, to the database `postgres`."""
        return self.url("postgres")

    def url(self, database: str) -> str:
        """URL of the superuser, to `database`."""
        return f"postgresql://{self.user}:{self.password}@{LOOPBACK}:{self.port}/{quote(database)}"

    def create_database(self, name: str, *, template: str | None = None) -> str:
        """Make a database, a copy of `template` if given, and return its URL."""
        clause = f' TEMPLATE "{template}"' if template else ""
        psql(self.admin_url, f'CREATE DATABASE "{name}"{clause}')
        return self.url(name)

    def has_database(self, name: str) -> bool:
        """Whether a database of that name exists."""
        return name in psql(self.admin_url, "SELECT datname FROM pg_database").splitlines()

    @override
    def _prepare(self) -> None:
        self.cluster.mkdir(mode=0o700, exist_ok=True)
        owner = unprivileged_user()
        if owner is not None:
            os.chown(self.cluster, *owner)
        # Held open for the other user, who may not be let through the folders above it.
        self._cluster_fd = os.open(self.cluster, os.O_RDONLY | os.O_DIRECTORY)
        self._end_orphans()
        if not self._initialised.exists():
            self._initialise(owner)

    @property
    def _initialised(self) -> Path:
        return self.folder.path / "initialised"

    def _end_orphans(self) -> None:
        """Backends whose postmaster was killed; and its lock, which may name a stranger's pid."""
        end(working_in(self.cluster, "postgres"), signal.SIGTERM, self.stop_seconds)
        (self.cluster / "postmaster.pid").unlink(missing_ok=True)

    def _initialise(self, owner: tuple[int, int] | None) -> None:
        for entry in self.cluster.iterdir():  # of an initdb that was interrupted
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        with _secret_file(self.password, owner) as password_fd:
            account = (f"--username={self.user}", f"--pwfile=/proc/self/fd/{password_fd}")
            haste = () if self.durable else ("--no-sync",)
            command = self._program("initdb", *_INITDB, *account, *haste)
            done = subprocess.run(  # noqa: S603
                leashed(command),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                cwd="/",
                pass_fds=(*command.pass_fds, password_fd),
            )
        if done.returncode != 0:
            raise EmbeddedError(f"{self.label}: initdb failed:\n{done.stdout}{done.stderr}")
        self._initialised.touch()

    @override
    def _command(self) -> Command:
        settings = self._settings | {"port": str(self.port)}
        return self._program("postgres", *(f"--{key}={text}" for key, text in settings.items()))

    def _program(self, name: str, *arguments: str) -> Command:
        owner = unprivileged_user()
        if self._cluster_fd is None:
            raise EmbeddedError(f"{self.label}: the cluster is not open")
        return Command(
            [
                runnable_by(owner) / "bin" / name,
                "-D",
                f"/proc/self/fd/{self._cluster_fd}",
                *arguments,
            ],
            owner=owner,
            pass_fds=(self._cluster_fd,),
        )

    @override
    def _is_ready(self) -> bool:
        return answers(self.admin_url)

    @override
    def _clean_up(self) -> None:
        if self._cluster_fd is not None:
            os.close(self._cluster_fd)
            self._cluster_fd = None


@contextmanager
def _secret_file(secret: str, owner: tuple[int, int] | None) -> Iterator[int]:
    """A file in memory that only `owner` can read."""
    descriptor = os.memfd_create("secret")
    try:
        os.write(descriptor, f"{secret}\n".encode())
        os.lseek(descriptor, 0, os.SEEK_SET)
        if owner is not None:
            os.fchown(descriptor, *owner)
        yield descriptor
    finally:
        os.close(descriptor)
