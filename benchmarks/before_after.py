"""Pushes of this checkout against those of another one, in turn: times, and what they cost in CPU.

Seconds of CPU tell the two apart also on a machine that others keep busy, where times do not.
"""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import orjson

from benchmarks.load import Connection, Request
from benchmarks.setting import Setting, seed

CELLS = (
    ("create", 1, 1, 40),
    ("create", 1, 64, 6),
    ("create", 10, 16, 4),
    ("create", 100, 1, 8),
    ("create", 500, 1, 4),
    ("update", 1, 1, 30),
    ("update", 500, 1, 4),
)
"""What is pushed, changes to a push, clients, pushes of each."""

Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class _Cost:
    """Milliseconds of a push: until it was answered, and of CPU."""

    latency: float
    service: float
    postgres: float


class _Side:
    """One of the two services, and a tenant of it."""

    def __init__(self, setting: Setting, tenant: UUID, file_id: UUID, postmaster: int) -> None:
        self._setting = setting
        self._url = f"{setting.url}/api/tenants/{tenant}/documents/sync"
        self._file_id = file_id
        self._postmaster = postmaster
        self._known: list[Json] = []

    @classmethod
    async def of(cls, setting: Setting) -> "_Side":
        tenant = await seed(setting, 1)
        connection = await asyncpg.connect(setting.database_url)
        file_id = await connection.fetchval("SELECT id FROM files WHERE tenant_id = $1", tenant)
        told = await connection.fetchval("SELECT pg_read_file('postmaster.pid')")
        await connection.close()
        return cls(setting, tenant, file_id, int(told.partition("\n")[0]))

    async def cost(self, kind: str, batch: int, clients: int, pushes: int) -> _Cost:
        """Of one push, as the median or mean of so many."""
        connections = [await Connection.open(self._setting.url) for _ in range(clients)]
        if kind == "update":
            await self._push(connections[0], self._creates(batch))
        latencies: list[float] = []

        async def client(connection: Connection) -> None:
            for _ in range(pushes):
                changes = self._creates(batch) if kind == "create" else self._updates()
                latencies.append(await self._push(connection, changes))

        before = self._cpu()
        await asyncio.gather(*map(client, connections))
        service, postgres = map(_between, before, self._cpu())
        for connection in connections:
            await connection.close()
        number = clients * pushes
        return _Cost(statistics.median(latencies), service / number, postgres / number)

    async def _push(self, connection: Connection, changes: list[Json]) -> float:
        body = orjson.dumps({"changes": changes})
        request = Request(self._url, self._setting.headers, body).encode()
        started = time.perf_counter()
        status, answer = await connection.send(request)
        elapsed = time.perf_counter() - started
        results = orjson.loads(answer)["data"]["results"]
        assert status == 200
        assert {result["status"] for result in results} == {"applied"}
        self._known = [result["document"] for result in results]
        return elapsed * 1000

    def _creates(self, batch: int) -> list[Json]:
        new = {"filename": "report.pdf", "mime_type": "application/pdf", "file_id": self._file_id}
        new["file_id"] = str(self._file_id)
        return [{"op": "create", "change_id": uuid4(), "id": uuid4(), **new} for _ in range(batch)]

    def _updates(self) -> list[Json]:
        return [
            {
                "op": "update",
                "change_id": uuid4(),
                "id": document["id"],
                "base_updated_at": document["updated_at"],
                "filename": f"{uuid4()}.pdf",
            }
            for document in self._known
        ]

    def _cpu(self) -> tuple[dict[int, float], dict[int, float]]:
        """Milliseconds so far, by thread, of the service and of PostgreSQL."""
        children = Path(f"/proc/{self._postmaster}/task/{self._postmaster}/children")
        return _cpu_of(self._setting.pid), _cpu_of(*map(int, children.read_text().split()))


def _cpu_of(*pids: int) -> dict[int, float]:
    threads = (thread for pid in pids for thread in Path("/proc").glob(f"{pid}/task/*/schedstat"))
    spent: dict[int, float] = {}
    for thread in threads:
        with suppress(OSError):  # it has ended
            spent[int(thread.parent.name)] = int(thread.read_text().split()[0]) / 1e6
    return spent


def _between(before: dict[int, float], after: dict[int, float]) -> float:
    return sum(spent - before.get(thread, 0) for thread, spent in after.items())


async def pushes_before_and_after(
    before: Setting, after: Setting, *, rounds: int
) -> AsyncIterator[str]:
    """One line a cell: medians of both sides, and of the rounds' ratios."""
    sides = (await _Side.of(before), await _Side.of(after))
    yield "ms a push, before → after (ratio): answered, CPU of the service, CPU of PostgreSQL"
    for kind, batch, clients, pushes in CELLS:
        costs = [
            [await side.cost(kind, batch, clients, pushes) for side in sides]
            for _ in range(rounds + 1)
        ][1:]
        named = f"  {kind} of {batch:3}, {clients:2} clients: "
        yield named + "   ".join(
            _told(costs, part)
            for part in (lambda c: c.latency, lambda c: c.service, lambda c: c.postgres)
        )


def _told(costs: list[list[_Cost]], part: Callable[[_Cost], float]) -> str:
    pairs = [(part(before), part(after)) for before, after in costs]
    was, now = (statistics.median(values) for values in zip(*pairs, strict=True))
    ratio = statistics.median(after / before for before, after in pairs)
    return f"{was:7.2f} → {now:7.2f} ({ratio:.2f})"
