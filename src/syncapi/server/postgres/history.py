"""The versions of a document, each kept by the trigger that also writes the feed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, and_, select

from syncapi.protocol.documents import FileInfo
from syncapi.protocol.history import DocumentVersion, NamedVersion, UnknownVersion
from syncapi.server.postgres.databases import TenantConnection
from syncapi.server.postgres.tables import document_history, files

# What is in the feed was written, whether or not a trigger saw it.
_UNKNOWN = """
SELECT named.number
FROM unnest($2::uuid[], $3::timestamptz[]) WITH ORDINALITY AS named (id, updated_at, number)
WHERE NOT EXISTS (
  SELECT FROM document_history WHERE tenant_id = $1
  AND document_id = named.id AND updated_at = named.updated_at)
AND NOT EXISTS (
  SELECT FROM collected_changes WHERE tenant_id = $1
  AND document_id = named.id AND applied_at = named.updated_at)
AND NOT EXISTS (
  SELECT FROM feed_entries entry WHERE entry.tenant_id = $1
  AND entry.id = named.id AND entry.updated_at = named.updated_at)
ORDER BY named.number
"""

_FILE = and_(
    files.c.tenant_id == document_history.c.tenant_id, files.c.id == document_history.c.file_id
)


@dataclass(frozen=True, slots=True)
class KeptVersion:
    """What a restore needs of a version."""

    folder: str
    filename: str
    mime_type: str
    file_id: UUID


async def versions(
    connection: TenantConnection, document_id: UUID, *, before: datetime | None, most: int
) -> Sequence[DocumentVersion]:
    """The versions older than `before`, newest first."""
    query = _read().where(_of(connection, document_id))
    if before is not None:
        query = query.where(document_history.c.updated_at < before)
    query = query.order_by(document_history.c.updated_at.desc()).limit(most)
    return [_version(row) for row in await connection.connection.execute(query)]


async def unknown(
    connection: TenantConnection, versions: Sequence[NamedVersion]
) -> list[UnknownVersion]:
    """Those of the versions that the database never had or remembers no more; in their order."""
    rows = await connection.driver.fetch(
        _UNKNOWN,
        connection.tenant_id,
        [version.id for version in versions],
        [version.updated_at for version in versions],
    )
    # By number, since the driver changes the earliest and the latest time that it can hold.
    found = [versions[row["number"] - 1] for row in rows]
    return [UnknownVersion(id=one.id, updated_at=one.updated_at) for one in found]


async def find(
    connection: TenantConnection, document_id: UUID, updated_at: datetime
) -> KeptVersion | None:
    """One version."""
    query = select(document_history).where(
        _of(connection, document_id), document_history.c.updated_at == updated_at
    )
    return _make_kept((await connection.connection.execute(query)).one_or_none())


async def newest(connection: TenantConnection, document_id: UUID) -> KeptVersion | None:
    """The last version, which a deletion keeps as it was."""
    query = (
        select(document_history)
        .where(_of(connection, document_id))
        .order_by(document_history.c.updated_at.desc())
        .limit(1)
    )
    return _make_kept((await connection.connection.execute(query)).one_or_none())


def _make_kept(row: Row[Any] | None) -> KeptVersion | None:
    if row is None:
        return None
    return KeptVersion(row.folder, row.filename, row.mime_type, row.file_id)


def _of(connection: TenantConnection, document_id: UUID) -> ColumnElement[bool]:
    return and_(
        document_history.c.tenant_id == connection.tenant_id,
        document_history.c.document_id == document_id,
    )


def _read() -> Select[Any]:
    joined = document_history.outerjoin(files, _FILE)
    return select(
        *(column for column in document_history.c if column.name != "file_id"),
        files.c.id.label("file_id"),
        files.c.md5_hash,
        files.c.sha256_hash,
        files.c.file_size,
    ).select_from(joined)


def _version(row: Row[Any]) -> DocumentVersion:
    file = None
    if row.file_id is not None:
        file = FileInfo(
            id=row.file_id,
            md5_hash=row.md5_hash,
            sha256_hash=row.sha256_hash,
            file_size=row.file_size,
        )
    return DocumentVersion(
        updated_at=row.updated_at,
        folder=row.folder,
        filename=row.filename,
        mime_type=row.mime_type,
        is_deleted=row.is_deleted,
        file=file,
        changed_by=row.changed_by,
        database_role=row.database_role,
        change_id=row.change_id,
    )
