"""A tenant that is written by raw SQL, and what the feed's tables say of it."""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg

Connect = Callable[[], Awaitable[asyncpg.Connection]]
"""Opens a session in the worker's database."""

_INSERT = """
INSERT INTO documents (tenant_id, id, filename, mime_type, file_id)
SELECT $1, id, $2, 'text/plain', $3 FROM unnest($4::uuid[]) AS id
"""


@dataclass(frozen=True, slots=True)
class RawTenant:
    """A tenant that is nobody else's; `db` is the session that looks at it."""

    id: UUID
    file_id: UUID
    db: asyncpg.Connection

    async def insert(
        self, *ids: UUID, by: asyncpg.Connection | None = None, filename: str = "a.txt"
    ) -> None:
        """Insert documents in one statement, by the session `by`."""
        await (by or self.db).execute(_INSERT, self.id, filename, self.file_id, ids)

    async def inserted(self) -> UUID:
        """The id of a document inserted by a transaction of its own."""
        document = uuid4()
        await self.insert(document)
        return document

    async def update(self, what: str, *ids: UUID, by: asyncpg.Connection | None = None) -> None:
        """Update documents in one statement, by the session `by`."""
        statement = f"UPDATE documents SET {what} WHERE tenant_id = $1 AND id = ANY($2)"
        await (by or self.db).execute(statement, self.id, ids)

    async def delete(self, *ids: UUID, by: asyncpg.Connection | None = None) -> None:
        """Delete documents for good in one statement, by the session `by`."""
        statement = "DELETE FROM documents WHERE tenant_id = $1 AND id = ANY($2)"
        await (by or self.db).execute(statement, self.id, ids)

    async def entry(self, document: UUID) -> Any:  # noqa: ANN401 - a row of asyncpg, untyped
        """The feed's entry of a document, None if there is none."""
        query = "SELECT * FROM feed_entries WHERE tenant_id = $1 AND id = $2"
        return await self.db.fetchrow(query, self.id, document)

    async def stamp(self, document: UUID) -> datetime:
        """The version of a document."""
        stamp: datetime = (await self.entry(document))["updated_at"]
        return stamp

    async def feed(self) -> list[UUID]:
        """The documents in the order of the feed."""
        query = "SELECT id FROM feed_entries WHERE tenant_id = $1 ORDER BY updated_at, id"
        return [UUID(str(row["id"])) for row in await self.db.fetch(query, self.id)]

    async def clock(self) -> Any:  # noqa: ANN401 - a row of asyncpg, untyped
        """The clock's row, None where the feed is not open."""
        return await self.db.fetchrow("SELECT * FROM tenant_clock WHERE tenant_id = $1", self.id)

    async def forks(self) -> dict[bytes, datetime]:
        """The lineages that were left and that cursors go on from, and where."""
        query = "SELECT lineage, forked_at FROM feed_forks WHERE tenant_id = $1 AND NOT is_void"
        return {row["lineage"]: row["forked_at"] for row in await self.db.fetch(query, self.id)}

    async def history(self, document: UUID) -> list[Any]:
        """The versions of a document, oldest first."""
        query = """
        SELECT * FROM document_history WHERE tenant_id = $1 AND document_id = $2
        ORDER BY updated_at
        """
        return list(await self.db.fetch(query, self.id, document))


async def tenant_in(db: asyncpg.Connection, *, opens: bool = True) -> RawTenant:
    """A new tenant with a file whose bytes are nowhere, and its feed, if it `opens` one."""
    tenant, file = uuid4(), uuid4()
    if opens:
        await db.execute("SELECT feed.open($1, gen_random_uuid())", tenant)
    sha256 = hashlib.sha256(file.bytes).hexdigest()
    await db.execute(
        "INSERT INTO files (tenant_id, id, md5_hash, sha256_hash, s3_path, file_size) "
        "VALUES ($1, $2, $3, $4, $5, 1)",
        *(tenant, file, sha256[:32], sha256, f"{tenant}/{file}"),
    )
    return RawTenant(tenant, file, db)
