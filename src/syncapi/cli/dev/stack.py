"""The processes of ``syncapi dev``: three servers, and the service, run as in production."""

import asyncio
import os
import shlex
import signal
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
import typer

from syncapi.cli.dev.demo.seeding import Demo, seeded
from syncapi.cli.dev.environment import DATABASE, adopt, service_environment
from syncapi.cli.exit_codes import CommandFailed
from syncapi.embedded import EmbeddedServices
from syncapi.embedded.child import Child, Command
from syncapi.embedded.folder import ServerFolder
from syncapi.embedded.ports import LOOPBACK, is_free
from syncapi.server.postgres.migrations import Target, Tree, current, is_known, upgrade

_READY_SECONDS = 60
_STOP_SECONDS = 8
_WATCH_SECONDS = 0.5


class DevStack:
    """Everything, in `folder`; leaving the block stops it all."""

    def __init__(self, folder: Path, port: int) -> None:
        self.url = f"http://{LOOPBACK}:{port}"
        self.services = EmbeddedServices(folder)
        self._port = port
        self._folder = folder
        self._own = ServerFolder(folder / "service")
        self._service = Child(self._own.path / "process.json", None, signal.SIGTERM)

    def start(self) -> None:
        """Start all, and return when the service is ready.

        Raises:
            EmbeddedError: a server does not start, or the folder is in use.
            CommandFailed: the port is taken, or the service does not start.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._own.claim()
        self._service.recover(_STOP_SECONDS)
        self._check_port()
        typer.echo("Starting PostgreSQL, S3 and Valkey")
        self.services.start()
        # Nothing is read from a .env of the folder that we were started in: see `adopt`.
        os.chdir(self._own.path)
        adopt(service_environment(self.services, self._own))
        self._migrate()
        self._serve()

    def demo(self) -> Demo:
        """The demo tenant, made at the first start."""
        return seeded(self.url, self._own)

    def watch(self) -> None:
        """Look after the processes, for good.

        Raises:
            CommandFailed: the service has ended.
            EmbeddedError: a server has ended and does not start again.
        """
        while True:
            time.sleep(_WATCH_SECONDS)
            if not self._service.is_running:
                raise CommandFailed("the service has ended by itself: see its log above")
            for server in self.services.servers:
                if not server.is_running:
                    typer.echo(f"{server.label} has ended (log: {server.log})")
                    server.start()
                    typer.echo(f"{server.label} is up again")

    def stop(self) -> None:
        """Stop all, the service first."""
        self._service.stop(_STOP_SECONDS)
        self.services.stop()
        self._own.release()

    def _check_port(self) -> None:
        if not is_free(self._port):
            raise CommandFailed(
                f"port {self._port} of {LOOPBACK} is taken. Stop what listens there, "
                f"or choose another: make run PORT={self._port + 1}"
            )

    def _migrate(self) -> None:
        postgres = self.services.postgres
        if not postgres.has_database(DATABASE):
            postgres.create_database(DATABASE)
        for tree in Tree:
            target = Target(tree, DATABASE, postgres.url(DATABASE))
            revision = asyncio.run(current(target))
            if not is_known(target, revision):
                raise CommandFailed(
                    f"the {tree} tables in {self._folder} are at {revision}, which this version "
                    "of syncapi does not know. Start the version that made them, or begin anew, "
                    f"without the data: rm -r {shlex.quote(str(self._folder))}"
                )
            upgrade(target)

    def _serve(self) -> None:
        argv = (sys.executable, "-m", "syncapi", "serve")
        self._service.spawn(Command([*argv, f"--host={LOOPBACK}", f"--port={self._port}"]))
        deadline = time.monotonic() + _READY_SECONDS
        while not self._is_ready():
            if not self._service.is_running:
                raise CommandFailed("the service did not start: see its log above")
            if time.monotonic() > deadline:
                raise CommandFailed(f"the service was not ready after {_READY_SECONDS} s")
            time.sleep(0.1)

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._service.pid:
            typer.echo("Stopping")
        self.stop()
