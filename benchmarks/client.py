"""The command line beside rclone and a plain client: whole processes, ten thousand documents.

Each begins with nothing running and ends when the folder is whole. rclone moves the same objects
from and to the same S3 by itself: it knows no documents, no conflicts and no history, so it has
less to do. The plain client is what somebody writes in an afternoon.
"""

import asyncio
import hashlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import aioboto3
import asyncpg

from benchmarks.command_line import PROGRAM, environment_of, first_sync
from benchmarks.setting import Setting

_AT_ONCE = 16
_PLAIN_CLIENT = """
import pathlib, sys, httpx
url, token, target = sys.argv[1:]
api = httpx.Client(headers={"Authorization": "Bearer " + token}, timeout=60, trust_env=False)
s3 = httpx.Client(timeout=60, trust_env=False)
query = {"since": "1970-01-01T00:00:00Z"}
while True:
    page = api.get(url, params={**query, "per_page": 500}).raise_for_status().json()["data"]
    for document in page["added"] + page["modified"]:
        path = pathlib.Path(target, document["folder"], document["filename"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(s3.get(document["download_url"]).raise_for_status().content)
    query = {"cursor": page["sync_token"]}
    if not page["has_more"]:
        break
"""
"""No retry, no check of the bytes, one file after the other, and everything again next time."""


@dataclass(frozen=True, slots=True)
class _File:
    """A document to be: its place, its bytes and their hashes."""

    id: UUID
    folder: str
    name: str
    key: str
    content: bytes

    @classmethod
    def of(cls, tenant: UUID, number: int) -> "_File":
        folder, name = f"folder {number // 100}", f"file {number}.txt"
        content = f"{number} ".encode() * (20 + number % 400)
        return cls(uuid4(), folder, name, f"{tenant}/{folder}/{name}", content)

    @property
    def row(self) -> tuple[str, str, str, int]:
        md5 = hashlib.md5(self.content).hexdigest()
        return md5, hashlib.sha256(self.content).hexdigest(), self.key, len(self.content)


async def client_against_others(setting: Setting, documents: int) -> AsyncIterator[str]:
    """Time a first sync and one without changes, of each program in turn.

    Yields:
        Lines to print.
    """
    tenant = await filled(setting, documents)
    with tempfile.TemporaryDirectory(prefix="syncapi-bench-") as name:
        place = Path(name)
        environment = environment_of(setting, tenant, place)
        yield f"(f) {documents:,} documents, first sync"
        ours = _time(environment, place, *first_sync(place / "ours"))
        yield _line("syncapi sync", ours, ours)
        plain = [sys.executable, "-c", _PLAIN_CLIENT, setting.pull_url(tenant, ""), setting.token]
        yield _line(
            "a plain sequential client", _time(environment, place, [*plain, "plain"]), ours
        )
        if shutil.which("rclone") is None:
            yield "  rclone is not installed: left out (Debian: apt-get install rclone)"
        else:
            rclone = ["rclone", "copy", f"bench:{setting.s3.s3_bucket}/{tenant}", "rclone"]
            many = ["--transfers", "8", "--checkers", "8"]
            yield _line("rclone copy", _time(environment, place, [*rclone, *many]), ours)
        _check_whole(place, documents)
        async for line in _without_changes(setting, tenant, environment, place, documents):
            yield line


async def _without_changes(
    setting: Setting, tenant: UUID, environment: dict[str, str], place: Path, documents: int
) -> AsyncIterator[str]:
    yield f"(g) a folder of {documents:,} files, nothing has changed"
    sync = [*PROGRAM, "sync", "ours"]
    _time(environment, place, sync)  # files that were written a moment ago are hashed once more
    ours = min(_time(environment, place, sync) for _ in range(3))
    yield _line("syncapi sync", ours, ours)
    if shutil.which("rclone") is None:
        return
    there = f"bench:{setting.s3.s3_bucket}/{tenant}"
    copy = ["rclone", "sync", "rclone", there, "--checkers", "8"]
    yield _line("rclone sync", min(_time(environment, place, copy) for _ in range(3)), ours)
    bisync = ["rclone", "bisync", "rclone", there, "--checkers", "8", "--workdir", "bisync"]
    _time(environment, place, [*bisync, "--resync"])
    yield _line("rclone bisync", min(_time(environment, place, bisync) for _ in range(3)), ours)


def _time(environment: dict[str, str], place: Path, *commands: list[str]) -> float:
    """Seconds that some commands take, one after the other.

    Raises:
        RuntimeError: one failed.
    """
    began = time.perf_counter()
    for command in commands:
        done = subprocess.run(
            command, env=environment, cwd=place, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{command[:4]}: {done.stdout[-500:]}{done.stderr[-2000:]}")
    return time.perf_counter() - began


def _line(name: str, seconds: float, ours: float) -> str:
    return f"  {name:<28} {seconds:8.2f} s   {seconds / ours:6.2f} times syncapi's"


def _check_whole(place: Path, documents: int) -> None:
    for folder in filter(Path.is_dir, (place / "ours", place / "plain", place / "rclone")):
        found = sum(path.is_file() for path in folder.rglob("*.txt"))
        if found != documents:
            raise RuntimeError(f"{folder.name} has {found} files, not {documents}")


async def filled(setting: Setting, documents: int) -> UUID:
    """A tenant with so many documents in folders of a hundred, and their bytes in S3."""
    tenant = uuid4()
    files = [_File.of(tenant, number) for number in range(documents)]
    await _put(setting, files)
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
    async with connection.transaction():
        await connection.executemany(
            """INSERT INTO files (tenant_id, id, md5_hash, sha256_hash, s3_path, file_size)
               VALUES ($1, $2, $3, $4, $5, $6)""",
            [(tenant, file.id, *file.row) for file in files],
        )
        await connection.executemany(
            """INSERT INTO documents (tenant_id, folder, filename, mime_type, file_id)
               VALUES ($1, $2, $3, 'text/plain', $4)""",
            [(tenant, file.folder, file.name, file.id) for file in files],
        )
    await connection.execute("VACUUM ANALYZE")
    await connection.close()
    return tenant


async def _put(setting: Setting, files: list[_File]) -> None:
    session = aioboto3.Session(
        aws_access_key_id=setting.s3.s3_access_key_id,
        aws_secret_access_key=setting.s3.s3_secret_access_key,
        region_name="us-east-1",
    )
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(
            session.client("s3", endpoint_url=setting.s3.s3_endpoint_url)
        )
        waiting = iter(files)

        async def worker() -> None:
            for file in waiting:
                await client.put_object(
                    Bucket=setting.s3.s3_bucket, Key=file.key, Body=file.content
                )

        await asyncio.gather(*(worker() for _ in range(_AT_ONCE)))
