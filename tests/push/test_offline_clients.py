"""Clients that were offline: queues, lost answers, replays in other batches, all strategies.

At rest every replica equals the server, every change that was told applied is a version of the
history, and no edit went over a version that its client had not seen unless its strategy says so.
"""

import random
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest

from fixtures.pulling import Replica
from fixtures.pushing import Json, create, delete, push, update
from fixtures.service import TestTenant
from fixtures.uploads import upload
from fixtures.writing import MakeWriter, SqlWriter
from syncapi.wire.base import format_time

STRATEGIES = ("reject", "last_write_wins", "first_write_wins", "merge")
ROUNDS = 40


@dataclass
class Device:
    """A client with a replica and a queue; a change keeps the strategy that it was made with."""

    tenant: TestTenant
    rng: random.Random
    file_ids: list[UUID]
    replica: Replica
    queue: dict[str, tuple[Json, str]] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)

    def edit(self) -> None:
        """Change something offline; a document that waits in the queue is left alone."""
        waiting = {change["id"] for change, _ in self.queue.values()}
        known = [d for d in self.replica.documents if str(d) not in waiting]
        change = self._change(known)
        self.queue[change["change_id"]] = change, self.rng.choice(STRATEGIES)

    def _change(self, known: list[UUID]) -> Json:
        kind = self.rng.choices(("create", "update", "delete"), (2, 6, 1))[0]
        if kind == "create" or not known:
            return create(self.rng.choice(self.file_ids), filename=f"{self.rng.random()}.txt")
        document = self.rng.choice(sorted(known))
        base = format_time(self.replica.documents[document])
        if kind == "delete":
            return delete(document, base)
        fields: dict[str, str] = self.rng.choice(
            [
                {"filename": f"{self.rng.random()}.txt"},
                {"folder": self.rng.choice(("", "here", "here/below", "there"))},
                {"mime_type": self.rng.choice(("text/plain", "text/markdown", "text/csv"))},
                {"file_id": str(self.rng.choice(self.file_ids))},
            ]
        )
        return update(document, base, **fields)

    async def send(self) -> None:
        """Push some of one strategy, in any order; now and then the answer is lost.

        What was lost is sent again later, in whatever batch it then falls into.
        """
        strategy = self.rng.choice(STRATEGIES)
        mine = [change for change, wanted in self.queue.values() if wanted == strategy]
        batch = self.rng.sample(mine, self.rng.randint(0, len(mine)))
        if not batch:
            return
        results = await push(self.tenant.admin, *batch, on_conflict=strategy)
        if self.rng.random() < 0.4:
            return
        for result in results:
            self.answers[str(result.change_id)] = result.status
            del self.queue[str(result.change_id)]


async def _at_rest(devices: list[Device]) -> None:
    for device in devices:
        while device.queue:
            await device.send()
    for device in devices:
        await device.replica.pull_run(per_page=50)


async def _history(writer: SqlWriter) -> list[Any]:
    """Every version, with the one before it and the change that made it."""
    rows: list[Any] = await writer.connection.fetch(
        """SELECT change_id::text, is_deleted,
                  lag(updated_at) OVER (PARTITION BY document_id ORDER BY updated_at) AS previous
           FROM document_history WHERE tenant_id = $1""",
        writer.tenant_id,
    )
    return rows


@pytest.mark.parametrize("seed", [1, 2])
async def test_nothing_is_lost(seed: int, tenant: TestTenant, make_writer: MakeWriter) -> None:
    rng = random.Random(seed)
    contents = [await upload(tenant.user, f"{n}".encode()) for n in range(4)]
    file_ids = [UUID(document["file"]["id"]) for document in contents]
    writer = await make_writer(tenant.id)
    devices = [Device(tenant, rng, file_ids, Replica(tenant.admin)) for _ in range(4)]
    sent: dict[str, tuple[Json, str]] = {}
    for _ in range(ROUNDS):
        device = rng.choice(devices)
        for _ in range(rng.randint(0, 4)):
            device.edit()
        sent |= device.queue
        await rng.choice((device.send, device.send, device.replica.pull_run))()
        if rng.random() < 0.2:
            live = sorted(await writer.live())
            await rng.choice((writer.touch, writer.delete))(*rng.sample(live, min(2, len(live))))

    await _at_rest(devices)

    server = await writer.live()
    assert [device.replica.documents for device in devices] == [server] * len(devices)
    versions = {row["change_id"]: row for row in await _history(writer) if row["change_id"]}
    answers = {change: status for device in devices for change, status in device.answers.items()}
    assert set(answers) == set(sent)
    assert {change for change, status in answers.items() if status == "applied"} <= set(versions)
    assert not {c for c, status in answers.items() if status == "conflict"} & set(versions)
    for change_id, version in versions.items():
        change, strategy = sent[change_id]
        if strategy in ("reject", "first_write_wins") and change["op"] != "create":
            assert format_time(version["previous"]) == change["base_updated_at"]
