"""What the server holds, read past the API, and where a replica differs from it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
from typing_extensions import override

from soak.replica import Copy
from syncapi.wire.base import format_time

_DOCUMENTS = """
SELECT document.id, entry.updated_at, folder, filename, mime_type, user_id::text,
       file.id::text AS file_id, md5_hash, sha256_hash, file_size
FROM documents document
JOIN files file ON (file.tenant_id, file.id) = (document.tenant_id, document.file_id)
JOIN feed_entries entry ON (entry.tenant_id, entry.id) = (document.tenant_id, document.id)
WHERE document.tenant_id = $1 AND NOT document.is_deleted
"""
_COUNT = "SELECT count(*) FROM documents WHERE tenant_id = $1 AND NOT is_deleted"
_SETTLED = """
SELECT id, updated_at, is_deleted FROM feed_entries WHERE tenant_id = $1 AND updated_at <= $2
"""
_EVIDENCE = """
SELECT 'entry: ' || to_jsonb(entry)::text FROM feed_entries entry WHERE tenant_id = $1 AND id = $2
UNION ALL SELECT 'document: ' || to_jsonb(document)::text FROM documents document
  WHERE tenant_id = $1 AND id = $2
UNION ALL (SELECT 'version: ' || to_jsonb(version)::text FROM document_history version
  WHERE tenant_id = $1 AND document_id = $2 ORDER BY updated_at)
UNION ALL SELECT 'clock: ' || to_jsonb(clock)::text FROM tenant_clock clock WHERE tenant_id = $1
"""

Differences = Iterable[tuple[UUID, str]]
"""Documents, and how each differs."""


@dataclass(frozen=True, slots=True)
class Miss:
    """A document that a replica has otherwise than the server."""

    tenant: UUID
    document: UUID
    replica: str
    what: str
    evidence: tuple[str, ...]

    @override
    def __str__(self) -> str:
        told = f"{self.replica}: document {self.document} of tenant {self.tenant}: {self.what}"
        return "\n    ".join((told, *self.evidence))


async def ends(connection: asyncpg.Connection) -> dict[UUID, str]:
    """The newest stamp of each tenant, as the API writes it."""
    rows = await connection.fetch("SELECT tenant_id, last FROM tenant_clock")
    return {UUID(str(tenant)): format_time(last) for tenant, last in rows}


async def documents(connection: asyncpg.Connection, tenant: UUID) -> dict[UUID, Copy]:
    """The live documents, as a client should hold them at rest."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        rows = await connection.fetch(_DOCUMENTS, tenant)
        count = await connection.fetchval(_COUNT, tenant)
    assert len(rows) == count, f"{count - len(rows)} documents have no entry in the feed"
    return {UUID(str(id_)): Copy(format_time(version), *values) for id_, version, *values in rows}


def differences(replica: Mapping[UUID, Copy], server: Mapping[UUID, Copy]) -> Differences:
    """Each document that differs, and how."""
    for document in replica.keys() | server.keys():
        here, there = replica.get(document), server.get(document)
        if here is None:
            yield document, f"missed: the server has {there}"
        elif there is None:
            yield document, f"its deletion was missed: the replica has {here}"
        elif here != there:
            yield document, f"stale: the replica has {here}, the server {there}"


async def unsettled(
    connection: asyncpg.Connection, tenant: UUID, replica: Mapping[UUID, Copy], complete_to: str
) -> list[tuple[UUID, str]]:
    """Where a replica, complete up to a time, differs from what is older and still stands.

    It will never get those: its position has passed them.
    """
    moment = datetime.fromisoformat(complete_to).astimezone(UTC)
    found = []
    for id_, updated_at, is_deleted in await connection.fetch(_SETTLED, tenant, moment):
        copy, version = replica.get(UUID(str(id_))), format_time(updated_at)
        if is_deleted and copy is not None:
            found.append((UUID(str(id_)), f"deleted at {version}, and the replica has {copy}"))
        elif not is_deleted and (copy is None or copy.version != version):
            found.append((UUID(str(id_)), f"written at {version}, and the replica has {copy}"))
    return [(id_, f"{what}, complete to {complete_to}") for id_, what in found]


async def evidence(
    connection: asyncpg.Connection, tenant: UUID, document: UUID
) -> tuple[str, ...]:
    """What the database says of a document."""
    return tuple(row[0] for row in await connection.fetch(_EVIDENCE, tenant, document))
