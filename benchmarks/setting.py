"""What the benchmarks run against: embedded services, a real ``syncapi serve``, and data."""

import asyncio
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import httpx

from syncapi.embedded import EmbeddedServices, ServiceAddresses
from syncapi.server.identity.tokens import SecretIssuer, issue

SECRET = secrets.token_hex(32)
HERE = Path(__file__).parents[1]
"""This checkout."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A running service.

    Attributes:
        url: of the service, without a path.
        token: of an admin of every tenant that `seed` makes.
        pid: of the service's one process.
        s3: where the objects are.
    """

    url: str
    database_url: str
    token: str
    user: UUID
    pid: int
    s3: ServiceAddresses

    def pull_url(self, tenant: UUID, query: str) -> str:
        return f"{self.url}/api/tenants/{tenant}/documents/sync?{query}"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


@asynccontextmanager
async def running(checkout: Path = HERE) -> AsyncIterator[Setting]:
    """Start everything in a fresh folder, and stop it; the service as ``checkout`` has it."""
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedServices(Path(folder) / "data", durable=False) as services,
    ):
        database_url = services.addresses.postgres_admin_url
        environment = _environment(services, database_url) | {"PYTHONPATH": str(checkout / "src")}
        await asyncio.to_thread(_migrate, environment)
        with _served(environment) as (url, pid):
            user = uuid4()
            issuer = SecretIssuer("syncapi", "syncapi", SECRET)
            yield Setting(
                url,
                database_url,
                issue(issuer, user, lifetime=86_400),
                user,
                pid,
                services.addresses,
            )


async def seed(setting: Setting, documents: int) -> UUID:
    """A tenant with so many documents, each with a file of its own and a stamp per hundred."""
    tenant = uuid4()
    connection = await asyncpg.connect(setting.database_url)
    await connection.execute(
        "INSERT INTO tenants (id, name, slug, feed_id) "
        "VALUES ($1, 'bench', $2, feed.open($1, gen_random_uuid()))",
        tenant,
        f"b-{tenant.hex}",
    )
    await connection.execute(
        "INSERT INTO memberships (tenant_id, user_id, role) VALUES ($1, $2, 'admin')",
        tenant,
        setting.user,
    )
    await _copy_in(connection, tenant, documents)
    await connection.execute("VACUUM ANALYZE")
    await connection.close()
    return tenant


async def _copy_in(connection: asyncpg.Connection, tenant: UUID, documents: int) -> None:
    """Write the rows as the triggers would, without paying for a million trigger calls."""
    parameters = (tenant, documents)
    await connection.execute("SET session_replication_role = replica")
    await connection.execute(
        """INSERT INTO files (tenant_id, id, md5_hash, sha256_hash, s3_path, file_size)
           SELECT $1::uuid, gen_random_uuid(), md5(i::text), md5(i::text) || md5('x' || i),
                  $1::uuid || '/' || gen_random_uuid(), i
           FROM generate_series(1, $2::int) i""",
        *parameters,
    )
    await connection.execute(
        """INSERT INTO documents (tenant_id, filename, mime_type, file_id, user_id, created_by)
           SELECT $1, 'Quarterly report ' || file_size || '.pdf', 'application/pdf', id,
                  gen_random_uuid(), gen_random_uuid()
           FROM files WHERE tenant_id = $1 ORDER BY file_size LIMIT $2""",
        *parameters,
    )
    await connection.execute(
        """INSERT INTO feed_entries
           SELECT $1, id, stamp, stamp, false FROM (
             SELECT id, timestamptz '2026-01-01 00:00Z'
                        + (row_number() OVER () / 100) * interval '1 s' AS stamp
             FROM documents WHERE tenant_id = $1 LIMIT $2) d""",
        *parameters,
    )
    await connection.execute("SET session_replication_role = DEFAULT")
    await connection.execute(
        """UPDATE tenant_clock SET (last, opened_at) = (
             SELECT max(updated_at), min(updated_at) FROM feed_entries WHERE tenant_id = $1)
           WHERE tenant_id = $1""",
        tenant,
    )


@contextmanager
def _served(environment: dict[str, str]) -> Iterator[tuple[str, int]]:
    port = free_port()
    command = [sys.executable, "-m", "syncapi", "serve", "--port", str(port)]
    url = f"http://127.0.0.1:{port}"
    with process(command, environment, f"{url}/livez") as pid:
        yield url, pid


def _environment(services: EmbeddedServices, database_url: str) -> dict[str, str]:
    addresses = services.addresses
    return {
        "SYNCAPI_DATABASE_URL": database_url,
        "SYNCAPI_REDIS_URL": addresses.redis_url,
        "SYNCAPI_S3_ENDPOINT_URL": addresses.s3_endpoint_url,
        "SYNCAPI_S3_BUCKET": addresses.s3_bucket,
        "SYNCAPI_S3_ACCESS_KEY_ID": addresses.s3_access_key_id,
        "SYNCAPI_S3_SECRET_ACCESS_KEY": addresses.s3_secret_access_key,
        "SYNCAPI_JWT_SECRET": SECRET,
        "SYNCAPI_CURSOR_KEY": SECRET,
        "SYNCAPI_RATE_LIMIT": "1000000/second",
        "SYNCAPI_POOL_TIMEOUT": "60",  # overload is told as 503, which is not what is measured
    }


def _migrate(environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "syncapi", "migrate"]
    subprocess.run(
        command, env={**os.environ, **environment}, check=True, stdout=subprocess.DEVNULL
    )


@contextmanager
def process(command: list[str], environment: dict[str, str], ready_url: str) -> Iterator[int]:
    """The id of a server process, once it answers, until the block ends; its log goes nowhere."""
    with subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as server:
        try:
            _wait_for(ready_url)
            yield server.pid
        finally:
            server.terminate()


def _wait_for(url: str) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            httpx.get(url, timeout=1)
        except httpx.HTTPError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(f"{url} does not answer")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
