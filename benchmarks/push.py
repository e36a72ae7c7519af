"""Pushes over HTTP, against the same rows by plain inserts without a clock."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from itertools import cycle
from uuid import UUID, uuid4

import asyncpg
import orjson

from benchmarks.load import Request, in_turn
from benchmarks.setting import Setting, seed

BATCHES = (1, 10, 100, 500)
CLIENTS = (1, 16, 64)
TENANTS = (1, 100)
MOST_REQUESTS = 800

_PLAIN_TABLE = """
CREATE TABLE IF NOT EXISTS plain (
  tenant_id uuid, id uuid, filename text, mime_type text, file_id uuid,
  updated_at timestamptz DEFAULT now(), PRIMARY KEY (tenant_id, id))
"""
_PLAIN_INSERT = """
INSERT INTO plain (tenant_id, id, filename, mime_type, file_id)
SELECT $1, id, filename, mime_type, file_id
FROM jsonb_to_recordset($2::jsonb) AS (id uuid, filename text, mime_type text, file_id uuid)
ON CONFLICT (tenant_id, id) DO UPDATE SET filename = excluded.filename, updated_at = now()
"""


async def pushes_against_plain_inserts(setting: Setting, *, rows: int) -> AsyncIterator[str]:
    """One line a cell: rows per second of both, and their ratio."""
    targets = [await _target(setting) for _ in range(max(TENANTS))]
    yield "(d) rows per second: pushes over HTTP ÷ plain INSERT … ON CONFLICT on bare connections"
    for tenants in TENANTS:
        for batch in BATCHES:
            for clients in CLIENTS:
                number = max(clients, min(rows // batch, MOST_REQUESTS))
                work = list(_batches(targets[:tenants], batch, number))
                ours = batch * number / await _pushed(setting, work, clients)
                theirs = batch * number / await _inserted(setting, work, clients)
                yield (
                    f"  {tenants:3} tenants  batch {batch:3}  {clients:2} clients: "
                    f"{ours:8.0f} ÷ {theirs:8.0f} = {ours / theirs:.2f}"
                )


async def _target(setting: Setting) -> tuple[UUID, UUID]:
    """A tenant, and a file of its own."""
    tenant = await seed(setting, 1)
    connection = await asyncpg.connect(setting.database_url)
    file_id: UUID = await connection.fetchval("SELECT id FROM files WHERE tenant_id = $1", tenant)
    await connection.close()
    return tenant, file_id


_Batch = tuple[UUID, list[dict[str, str]]]


def _batches(targets: list[tuple[UUID, UUID]], batch: int, number: int) -> Iterator[_Batch]:
    for (tenant, file_id), _ in zip(cycle(targets), range(number), strict=False):
        yield (
            tenant,
            [
                {
                    "op": "create",
                    "change_id": str(uuid4()),
                    "id": str(uuid4()),
                    "filename": "report.pdf",
                    "mime_type": "application/pdf",
                    "file_id": str(file_id),
                }
                for _ in range(batch)
            ],
        )


async def _pushed(setting: Setting, work: list[_Batch], clients: int) -> float:
    requests = [
        Request(
            f"{setting.url}/api/tenants/{tenant}/documents/sync",
            setting.headers,
            orjson.dumps({"changes": changes}),
        ).encode()
        for tenant, changes in work
    ]
    return await in_turn(setting.url, [requests[n::clients] for n in range(clients)])


async def _inserted(setting: Setting, work: list[_Batch], clients: int) -> float:
    """With as many connections as the service has, however many clients there are."""
    pool = await asyncpg.create_pool(setting.database_url, min_size=10, max_size=10)
    await pool.execute(_PLAIN_TABLE)
    bodies = [(tenant, orjson.dumps(changes).decode()) for tenant, changes in work]

    async def client(mine: list[tuple[UUID, str]]) -> None:
        for tenant, body in mine:
            await pool.execute(_PLAIN_INSERT, tenant, body)

    started = time.perf_counter()
    await asyncio.gather(*(client(bodies[n::clients]) for n in range(clients)))
    elapsed = time.perf_counter() - started
    await pool.close()
    return elapsed
