"""The three servers together."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from syncapi.embedded.addresses import ServiceAddresses
from syncapi.embedded.postgres import PostgresServer
from syncapi.embedded.s3 import S3Server
from syncapi.embedded.server import Server
from syncapi.embedded.valkey import ValkeyServer


class EmbeddedServices:
    """PostgreSQL, S3 and Valkey, each in a folder of its own below `data_dir`.

    Args:
        data_dir: made if need be; all data, secrets and ports are kept in it.
        durable: whether data survives a crash of the machine. False is faster, for tests.
    """

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        self.postgres = PostgresServer(data_dir / "postgres", durable=durable)
        self.s3 = S3Server(data_dir / "s3", durable=durable)
        self.valkey = ValkeyServer(data_dir / "valkey", durable=durable)

    @property
    def servers(self) -> tuple[Server, ...]:
        return self.postgres, self.s3, self.valkey

    @property
    def addresses(self) -> ServiceAddresses:
        """Where they are. Raises `EmbeddedError` before the first start."""
        return ServiceAddresses(
            postgres_admin_url=self.postgres.admin_url,
            redis_url=self.valkey.url,
            s3_endpoint_url=self.s3.endpoint_url,
            s3_bucket=self.s3.bucket,
            s3_access_key_id=self.s3.access_key_id,
            s3_secret_access_key=self.s3.secret_access_key,
        )

    def start(self) -> None:
        """Start all side by side; if one fails, stop the others.

        Raises:
            EmbeddedError: one does not start; its text says why.
        """
        try:
            self._each(lambda server: server.start())
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop all at the same time, each in an orderly way."""
        self._each(lambda server: server.stop())

    def kill(self) -> None:
        """Send SIGKILL to all: the quick end if their data is not needed any more."""
        self._each(lambda server: server.kill())

    def _each(self, act: Callable[[Server], None]) -> None:
        with ThreadPoolExecutor(len(self.servers)) as threads:
            acts = [threads.submit(act, server) for server in self.servers]
        for one in acts:
            one.result()

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
