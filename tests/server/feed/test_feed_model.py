"""Random work by SQL: the feed says what the documents say, and readers come to it.

The model is the table of documents itself. In some windows no trigger fires; each of them is
followed by the operator's verb.
"""

import random
from contextlib import nullcontext
from uuid import UUID, uuid4

import pytest

from fixtures.pulling import Replica
from fixtures.raw_tenant import RawTenant, tenant_in
from fixtures.service import MakeTenant
from fixtures.unseen import unseen
from fixtures.writing import MakeWriter

DOCUMENTS = 2
"""So few that a transaction writes the same ones again and again."""

_MINE = "tenant_id = $1 AND id = $2"
_FREE = "NOT EXISTS (SELECT FROM documents WHERE tenant_id = $1 AND id = $3)"
_INSERT = """
INSERT INTO documents (tenant_id, id, filename, mime_type, file_id)
VALUES ($1, $2, $3, 'text/plain', $4) ON CONFLICT DO NOTHING
"""
_MODES = [
    f"SET CONSTRAINTS {which} {mode}"
    for which in ("ALL", "documents_feed", "documents_feed_update", "files_feed")
    for mode in ("IMMEDIATE", "DEFERRED")
]
_STATE = """
SELECT coalesce(document.id, entry.id) AS id, entry.updated_at,
       coalesce(document.is_deleted, true) AS is_dead, entry.is_deleted AS is_said_dead,
       document.id IS NOT NULL AND NOT document.is_deleted AS is_live, document.folder,
       document.filename, document.mime_type, document.file_id, document.user_id
FROM (SELECT * FROM documents WHERE tenant_id = $1) AS document
FULL JOIN (SELECT * FROM feed_entries WHERE tenant_id = $1) AS entry USING (id)
"""


class Worker:
    """Writes at random, in one session."""

    def __init__(self, tenant: RawTenant, files: list[UUID], rng: random.Random) -> None:
        self._tenant = tenant
        self._db = tenant.db
        self._files = files
        self._rng = rng
        self._ids = [uuid4() for _ in range(DOCUMENTS)]

    async def work(self, *, is_seen: bool) -> None:
        """A transaction, most often committed."""
        window = nullcontext() if is_seen else unseen(self._db)
        transaction = self._db.transaction()
        await transaction.start()
        if self._rng.random() < 0.7:
            await self._db.execute(self._rng.choice(_MODES))
        async with window:
            await self._write(self._rng.randint(2, 12))
        if self._rng.random() < 0.1:
            await transaction.rollback()
        else:
            await transaction.commit()

    async def _write(self, statements: int) -> None:
        for _ in range(statements):
            if self._rng.random() < 0.2:
                await self._write_in_a_savepoint()
            else:
                await self._write_once()

    async def _write_in_a_savepoint(self) -> None:
        savepoint = self._db.transaction()
        await savepoint.start()
        await self._write(self._rng.randint(1, 3))
        await (savepoint.commit() if self._rng.random() < 0.5 else savepoint.rollback())

    async def _write_once(self) -> None:
        rng, tenant = self._rng, self._tenant.id
        document, other = rng.sample(self._ids, 2)
        name, file = f"{rng.randrange(10**6)}.txt", rng.choice(self._files)
        update = f"UPDATE documents SET {{}} WHERE {_MINE}".format
        statements: list[tuple[str, tuple[object, ...]]] = [
            (_INSERT, (tenant, document, name, file)),
            (_INSERT, (tenant, document, name, file)),
            (update("filename = $3"), (tenant, document, name)),
            (update("filename = filename"), (tenant, document)),
            (update("is_deleted = NOT is_deleted"), (tenant, document)),
            (update("file_id = $3"), (tenant, document, file)),
            (update("id = $3") + f" AND {_FREE}", (tenant, document, other)),
            (f"DELETE FROM documents WHERE {_MINE}", (tenant, document)),
            (f"SELECT FROM documents WHERE {_MINE} FOR UPDATE", (tenant, document)),
            (f"UPDATE files SET file_size = file_size + 1 WHERE {_MINE}", (tenant, file)),
            ("SELECT feed.flush($1)", (tenant,)),
            (rng.choice(_MODES), ()),
        ]
        statement, values = rng.choice(statements)
        await self._db.execute(statement, *values)


async def otherwise(tenant: RawTenant) -> list[str]:
    """Where the feed or the history does not say what the documents say."""
    found = []
    for row in await tenant.db.fetch(_STATE, tenant.id):
        if row["updated_at"] is None or row["is_said_dead"] != row["is_dead"]:
            found.append(f"the entry: {row}")
            continue
        version = (await tenant.history(row["id"]) or [None])[-1]
        names = ("updated_at", "folder", "filename", "mime_type", "file_id", "user_id")
        if row["is_live"] and (
            version is None
            or version["is_deleted"]
            or any(version[name] != row[name] for name in names)
        ):
            found.append(f"the version: {row}, {version}")
    return found


async def in_step(replica: Replica, tenant: RawTenant) -> None:
    """Follow to the end, and see that it holds the live documents of now."""
    await replica.pull_run()
    live = {
        row["id"]: row["updated_at"]
        for row in await tenant.db.fetch(_STATE, tenant.id)
        if row["is_live"]
    }
    assert replica.documents == live


@pytest.mark.parametrize("verb", ["SELECT feed.reconcile($1)", "SELECT feed.void_cursors()"])
@pytest.mark.parametrize("seed", range(4))
async def test_random_work(
    make_tenant: MakeTenant, make_writer: MakeWriter, verb: str, seed: int
) -> None:
    rng, tenant = random.Random(seed), await make_tenant()
    db = (await make_writer(tenant.id)).connection
    raw, other = RawTenant(tenant.id, uuid4(), db), await tenant_in(db)
    await db.execute("UPDATE files SET tenant_id = $1 WHERE tenant_id = $2", tenant.id, other.id)
    files = [
        row["id"] for row in await db.fetch("SELECT id FROM files WHERE tenant_id = $1", tenant.id)
    ]
    worker, reader = Worker(raw, files, rng), Replica(tenant.viewer)
    for turn in range(60):
        is_seen = rng.random() < 0.8
        await worker.work(is_seen=is_seen)
        if not is_seen:
            await db.execute(verb.replace("$1", f"'{tenant.id}'"))
            if "void" in verb:
                reader = Replica(tenant.viewer)
        assert not await otherwise(raw), f"turn {turn}"
        if rng.random() < 0.3:
            await in_step(reader, raw)
    await in_step(reader, raw)
    await in_step(Replica(tenant.viewer), raw)
