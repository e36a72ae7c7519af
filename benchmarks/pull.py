"""The three ratios of the pull: the page, the idle poll, the depth."""

import json
import statistics
import sys
from urllib.parse import quote
from uuid import UUID

import asyncpg
import psycopg

from benchmarks.load import Connection, Request, throughput
from benchmarks.ratios import Ratio, timed_pairs
from benchmarks.setting import Setting, free_port, process, seed
from syncapi.server.postgres.feed import PAGE_SQL

EPOCH = "1970-01-01T00:00:00Z"


async def page_against_libpq(
    setting: Setting, tenant: UUID, *, is_prepared: bool, pairs: int
) -> Ratio:
    """A page of 500 with URLs over HTTP, against the same joined query through libpq.

    psql sends a query to be planned each time; the service has it prepared.
    """
    request = Request(
        setting.pull_url(tenant, f"since={EPOCH}&per_page=500"), setting.headers
    ).encode()
    http = await Connection.open(setting.url)
    with psycopg.connect(setting.database_url) as connection:
        libpq = connection.pgconn
        libpq.prepare(b"page", PAGE_SQL.encode())
        values = [str(tenant), EPOCH, str(UUID(int=0)), None, "500", "t", None, EPOCH]
        parameters = [None if value is None else value.encode() for value in values]

        async def ours() -> None:
            status, body = await http.send(request)
            assert status == 200, body
            assert len(body) > 100_000

        async def theirs() -> None:
            if is_prepared:
                result = libpq.exec_prepared(b"page", parameters)  # type: ignore[arg-type]  # NULLs
            else:
                result = libpq.exec_params(PAGE_SQL.encode(), parameters)
            assert result.ntuples == 500

        way = "prepared" if is_prepared else "as psql sends it"
        name = f"(a) a page of 500 with URLs over HTTP ÷ the same query through libpq, {way}"
        ratio = await timed_pairs(name, "≤ 2.5", ours, theirs, pairs=pairs)
    await http.close()
    return ratio


async def idle_poll_against_empty_route(setting: Setting, *, rounds: int, seconds: float) -> Ratio:
    """Idle polls per second, against an empty Starlette route on the same kind of server."""
    tenant = await seed(setting, 100)
    poll = await _idle_poll(setting, tenant)
    port = free_port()
    command = [
        *(sys.executable, "-m", "uvicorn", "benchmarks.empty_route:app"),
        *("--port", str(port), "--no-access-log", "--log-level", "warning"),
        *("--loop", "uvloop", "--http", "httptools", "--no-server-header"),
    ]
    ours, theirs = [], []
    empty_url = f"http://127.0.0.1:{port}/empty"
    with process(command, {}, empty_url):
        empty = Request(empty_url, setting.headers)
        for _ in range(rounds):
            ours.append(await throughput(poll, 304, clients=64, seconds=seconds))
            theirs.append(await throughput(empty, 200, clients=64, seconds=seconds))
    return Ratio(
        "(b) idle polls per second ÷ requests per second of an empty Starlette route",
        "/s",
        statistics.median(ours),
        statistics.median(theirs),
        [a / b for a, b in zip(ours, theirs, strict=True)],
        "≥ 0.4",
    )


async def _idle_poll(setting: Setting, tenant: UUID) -> Request:
    """A poll as a client in step sends it: the last page's cursor, and its ETag."""
    http = await Connection.open(setting.url)
    start = Request(setting.pull_url(tenant, f"since={EPOCH}&per_page=500"), setting.headers)
    _, body = await http.send(start.encode())
    token = json.loads(body)["data"]["sync_token"]
    await http.close()
    headers = {**setting.headers, "If-None-Match": f'W/"{token[-16:]}"'}
    return Request(setting.pull_url(tenant, f"cursor={quote(token)}"), headers)


async def depth(setting: Setting, *, documents: int, pairs: int) -> Ratio:
    """The last page of a large tenant against its first."""
    tenant = await seed(setting, documents)
    connection = await asyncpg.connect(setting.database_url)
    deep_since = await connection.fetchval(
        """SELECT to_char(updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
           FROM feed_entries WHERE tenant_id = $1
           ORDER BY updated_at DESC OFFSET 600 LIMIT 1""",
        tenant,
    )
    await connection.close()
    http = await Connection.open(setting.url)

    async def pull(since: str) -> None:
        request = Request(setting.pull_url(tenant, f"since={since}&per_page=500"), setting.headers)
        status, body = await http.send(request.encode())
        assert status == 200, body
        assert body.count(b'"download_url"') == 500

    ratio = await timed_pairs(
        f"(c) a page at depth {documents:,} ÷ a page at depth 0",
        "≤ 1.2",
        lambda: pull(deep_since),
        lambda: pull(EPOCH),
        pairs=pairs,
    )
    await http.close()
    return ratio
