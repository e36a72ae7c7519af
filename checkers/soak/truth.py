"""What the server holds, read past the API, and where a replica differs from it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg
from typing_extensions import override

from soak.replica import Copy
from syncapi.protocol.base import format_time

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


class Difference(NamedTuple):
    """How a replica, or the answer to a push, differs from what the server has.

    Attributes:
        kind: a few words that are the same for every document, for the counts.
        what: the details of this one.
    """

    document: UUID
    kind: str
    what: str


@dataclass(frozen=True, slots=True)
class Miss:
    """A document that a replica has otherwise than the server."""

    tenant: UUID
    document: UUID
    replica: str
    kind: str
    what: str
    evidence: tuple[str, ...]

    @override
    def __str__(self) -> str:
        where = f"{self.replica}: document {self.document} of tenant {self.tenant}"
        return "\n    ".join((f"{where}: {self.kind}: {self.what}", *self.evidence))


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


def differences(replica: Mapping[UUID, Copy], server: Mapping[UUID, Copy]) -> Iterator[Difference]:
    """Each document that differs, and how."""
    for document in replica.keys() | server.keys():
        here, there = replica.get(document), server.get(document)
        if here is None:
            yield Difference(document, "missed", f"the server has {there}")
        elif there is None:
            yield Difference(document, "deletion missed", f"the replica has {here}")
        elif here != there:
            what = f"the replica has {here}, the server {there}"
            yield Difference(document, "stale", what)


async def unsettled(
    connection: asyncpg.Connection, tenant: UUID, replica: Mapping[UUID, Copy], complete_to: str
) -> list[Difference]:
    """Where a replica, complete up to a time, differs from what is older and still stands.

    It will never get those: its position has passed them.
    """
    moment = datetime.fromisoformat(complete_to).astimezone(UTC)
    found = []
    for id_, updated_at, is_deleted in await connection.fetch(_SETTLED, tenant, moment):
        copy, version = replica.get(UUID(str(id_))), format_time(updated_at)
        if is_deleted and copy is not None:
            kind, done = "deletion passed by", "deleted"
        elif not is_deleted and (copy is None or copy.version != version):
            kind, done = "passed by", "written"
        else:
            continue
        what = f"{done} at {version}, and the replica has {copy}, complete to {complete_to}"
        found.append(Difference(UUID(str(id_)), kind, what))
    return found


async def evidence(
    connection: asyncpg.Connection, tenant: UUID, document: UUID
) -> tuple[str, ...]:
    """What the database says of a document."""
    return tuple(row[0] for row in await connection.fetch(_EVIDENCE, tenant, document))
