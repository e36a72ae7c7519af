"""The ground of a run by command: servers of its own, and the service as a real process."""

import asyncio
import os
import secrets
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from pydantic import SecretStr

from fixtures.process import environment_of, service_process
from soak.standby import url_of_either
from syncapi.embedded import EmbeddedServices
from syncapi.server.postgres.migrations import Target, Tree, upgrade
from syncapi.server.settings import Settings

DATABASE = "soak"


class Service:
    """``syncapi serve`` that can be killed and started again.

    Args:
        folder: its working directory, made here; its log is there.
    """

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._environment = environment_of(settings)
        self._folder = folder
        folder.mkdir()
        self._running = ExitStack()

    def start(self) -> str:
        """Start, and return the URL when it serves.

        Raises:
            RuntimeError: it ended instead.
        """
        running = service_process(self._environment, self._folder)
        process = self._running.enter_context(running)
        while not _is_live(process.url):
            if process.process.poll() is not None:
                raise RuntimeError(f"the service ended:\n{process.log.read_text()[-2000:]}")
            time.sleep(0.05)
        return process.url

    def kill(self) -> None:
        """SIGKILL, whatever it is doing."""
        self._running.close()


@dataclass(frozen=True, slots=True)
class Ground:
    """What a run stands on.

    Attributes:
        services: processes of one service, with their URLs.
    """

    folder: Path
    servers: EmbeddedServices
    services: dict[str, Service]
    settings: Settings


@asynccontextmanager
async def ground(standby_port: int | None = None, *, processes: int = 1) -> AsyncIterator[Ground]:
    """Start servers in a fresh folder, durable as in life; migrate a database and serve it.

    With a `standby_port` the service also looks for the primary there.
    """
    with tempfile.TemporaryDirectory(prefix="syncapi-soak-") as folder:
        servers = EmbeddedServices(Path(folder), durable=True)
        await asyncio.to_thread(servers.start)
        try:
            settings = await asyncio.to_thread(_migrated, servers, standby_port)
            services = [Service(settings, Path(folder) / f"serve {n}") for n in range(processes)]
            try:
                urls = [await asyncio.to_thread(service.start) for service in services]
                started = dict(zip(urls, services, strict=True))
                yield Ground(Path(folder), servers, started, settings)
            finally:
                for service in services:
                    service.kill()
        finally:
            await asyncio.to_thread(servers.kill)


def _is_live(url: str) -> bool:
    try:
        return httpx.get(f"{url}/livez", timeout=2, trust_env=False).is_success
    except httpx.TransportError:
        return False


def _migrated(servers: EmbeddedServices, standby_port: int | None) -> Settings:
    for name in [name for name in os.environ if name.startswith("SYNCAPI_")]:
        del os.environ[name]
    url = servers.postgres.create_database(DATABASE)
    for tree in Tree:
        upgrade(Target(tree, DATABASE, url))
    if standby_port is not None:
        url = url_of_either(url, standby_port)
    addresses = servers.addresses
    return Settings(
        _env_file=None,
        database_url=SecretStr(url),
        redis_url=SecretStr(addresses.redis_url),
        s3_endpoint_url=addresses.s3_endpoint_url,
        s3_bucket=addresses.s3_bucket,
        s3_access_key_id=addresses.s3_access_key_id,
        s3_secret_access_key=SecretStr(addresses.s3_secret_access_key),
        jwt_secret=SecretStr(secrets.token_hex(32)),
        cursor_key=SecretStr(secrets.token_hex(32)),
        rate_limit="",
        log_level="warning",
    )
