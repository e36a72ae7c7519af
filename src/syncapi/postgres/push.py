"""Pushes: sets of changes read, locked and written in a handful of statements.

Lock order, as of every writer: documents in the order of their ids, then files, then, at the
flush, the tenant's clock.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson

from syncapi.domain.pushing import Version, Write
from syncapi.postgres.databases import TenantConnection
from syncapi.wire.documents import Document, FileInfo
from syncapi.wire.push import CHANGEABLE

_LOCK = "SELECT id FROM documents WHERE tenant_id = $1 AND id = ANY($2) ORDER BY id FOR UPDATE"

_STATES = """
SELECT entry.id AS document_id, entry.updated_at AS version,
       document.folder, document.filename, document.mime_type, document.user_id,
       document.created_at, document.created_by, document.is_deleted, document.deleted_at,
       document.deleted_by, document.file_id, file.md5_hash, file.sha256_hash, file.file_size
FROM feed_entries entry
LEFT JOIN documents document
  ON document.tenant_id = entry.tenant_id AND document.id = entry.id
LEFT JOIN files file ON file.tenant_id = entry.tenant_id AND file.id = document.file_id
WHERE entry.tenant_id = $1 AND entry.id = ANY($2)
"""

_APPLIED = """
SELECT change_id, document_id FROM document_history
WHERE tenant_id = $1 AND change_id = ANY($2)
UNION ALL
SELECT change_id, document_id FROM collected_changes
WHERE tenant_id = $1 AND change_id = ANY($2)
"""

_BASES = """
SELECT history.document_id, history.updated_at, history.folder, history.filename,
       history.mime_type, history.file_id
FROM unnest($2::uuid[], $3::timestamptz[]) AS asked (id, version)
JOIN document_history history
  ON history.tenant_id = $1 AND history.document_id = asked.id
 AND history.updated_at = asked.version
"""

_FILES = """
SELECT id, md5_hash, sha256_hash, file_size FROM files
WHERE tenant_id = $1 AND id = ANY($2) ORDER BY id FOR KEY SHARE
"""

_ROWS = """
  jsonb_to_recordset($2::jsonb) AS change (
    id uuid, folder text, filename text, mime_type text, file_id uuid, is_deleted boolean,
    author uuid, change_id uuid)
"""

_INSERT = f"""
INSERT INTO documents (tenant_id, id, folder, filename, mime_type, file_id, user_id,
                       created_by, updated_by, change_id)
SELECT $1, id, folder, filename, mime_type, file_id, author, author, author, change_id
FROM {_ROWS} ORDER BY id
ON CONFLICT DO NOTHING
RETURNING id, user_id, created_at, created_by, deleted_at, deleted_by
"""  # noqa: S608 - only our own text is put in

_UPDATE = f"""
UPDATE documents AS document SET
  folder = change.folder, filename = change.filename, mime_type = change.mime_type,
  file_id = change.file_id, is_deleted = change.is_deleted,
  deleted_at = CASE WHEN change.is_deleted THEN now() END,
  deleted_by = CASE WHEN change.is_deleted THEN change.author END,
  updated_at = now(), updated_by = change.author, change_id = change.change_id
FROM {_ROWS}
WHERE document.tenant_id = $1 AND document.id = change.id
RETURNING document.id, document.user_id, document.created_at, document.created_by,
          document.deleted_at, document.deleted_by
"""  # noqa: S608 - only our own text is put in


Row = Mapping[str, Any]


class RacedInsert(Exception):  # noqa: N818 - no failure: the transaction is run again
    """A document that was not there appeared before it could be inserted."""


@dataclass(frozen=True, slots=True)
class State:
    """A document as the server has it.

    Attributes:
        document: None for one that was hard-deleted.
    """

    version: Version
    document: Document | None


@dataclass(frozen=True, slots=True)
class Base:
    """A version from the history."""

    document_id: UUID
    updated_at: datetime
    fields: dict[str, object]


@dataclass(frozen=True, slots=True)
class PlannedWrite:
    """A write that was decided upon.

    Attributes:
        is_new: the tenant had no row of this id.
        author: the user who pushed it.
    """

    id: UUID
    change_id: UUID
    author: UUID | None
    write: Write
    is_new: bool


async def lock(tx: TenantConnection, ids: Collection[UUID]) -> None:
    """Keep others from changing these documents until the transaction ends."""
    await tx.driver.execute(_LOCK, tx.tenant_id, list(ids))


async def states(tx: TenantConnection, ids: Collection[UUID]) -> dict[UUID, State]:
    """The documents of these ids that the feed knows, deleted ones too."""
    rows = await tx.driver.fetch(_STATES, tx.tenant_id, list(ids))
    return {row["document_id"]: _state(row) for row in rows}


async def applied(tx: TenantConnection, change_ids: Collection[UUID]) -> dict[UUID, UUID]:
    """The document that each change was applied to, of those that were."""
    rows = await tx.driver.fetch(_APPLIED, tx.tenant_id, list(change_ids))
    return {row["change_id"]: row["document_id"] for row in rows}


async def bases(
    tx: TenantConnection, asked: Iterable[tuple[UUID, datetime]]
) -> dict[tuple[UUID, datetime], Base]:
    """These versions of documents, where the history has them."""
    pairs = list(asked)
    if not pairs:
        return {}
    ids, versions = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    rows = await tx.driver.fetch(_BASES, tx.tenant_id, ids, versions)
    found = (Base(row["document_id"], row["updated_at"], _fields(row)) for row in rows)
    return {(base.document_id, base.updated_at): base for base in found}


async def pin_files(tx: TenantConnection, ids: Collection[UUID]) -> dict[UUID, FileInfo]:
    """The tenant's files of these ids, kept from deletion until the transaction ends."""
    if not ids:
        return {}
    rows = await tx.driver.fetch(_FILES, tx.tenant_id, list(ids))
    return {row["id"]: _file(row, row["id"]) for row in rows}


async def write(
    tx: TenantConnection, planned: Sequence[PlannedWrite], files: Mapping[UUID, FileInfo]
) -> dict[UUID, Document]:
    """Write, take the clock, and return the documents as they will be committed.

    Nothing but the commit may follow.

    Raises:
        RacedInsert: run the transaction again.
    """
    new = [one for one in planned if one.is_new]
    changed = [one for one in planned if not one.is_new]
    rows = await _written(tx, _INSERT, new)
    if len(rows) < len(new):
        raise RacedInsert
    rows |= await _written(tx, _UPDATE, changed)
    stamp = await tx.stamp()
    if stamp is None:
        raise LookupError("a push wrote documents, and the feed's triggers issued no stamp")
    return {one.id: _written_document(one, rows[one.id], files, stamp) for one in planned}


async def _written(
    tx: TenantConnection, statement: str, planned: Sequence[PlannedWrite]
) -> dict[UUID, Row]:
    if not planned:
        return {}
    body = orjson.dumps([_parameters(one) for one in planned]).decode()
    return {row["id"]: row for row in await tx.driver.fetch(statement, tx.tenant_id, body)}


def _parameters(one: PlannedWrite) -> dict[str, object]:
    return {
        "id": str(one.id),
        "change_id": str(one.change_id),
        "author": None if one.author is None else str(one.author),
        "is_deleted": one.write.is_deleted,
        "folder": one.write.fields["folder"],
        "filename": one.write.fields["filename"],
        "mime_type": one.write.fields["mime_type"],
        "file_id": str(one.write.fields["file_id"]),
    }


def _written_document(
    one: PlannedWrite,
    row: Row,
    files: Mapping[UUID, FileInfo],
    stamp: datetime,
) -> Document:
    fields: Any = one.write.fields
    return Document(
        id=one.id,
        folder=fields["folder"],
        filename=fields["filename"],
        mime_type=fields["mime_type"],
        user_id=row["user_id"],
        created_at=row["created_at"],
        created_by=row["created_by"],
        updated_at=stamp.astimezone(UTC),
        is_deleted=one.write.is_deleted,
        deleted_at=row["deleted_at"],
        deleted_by=row["deleted_by"],
        file=files[fields["file_id"]],
    )


def _state(row: Row) -> State:
    if row["filename"] is None:
        return State(Version(row["version"], is_deleted=True, fields=None), None)
    document = Document(
        id=row["document_id"],
        folder=row["folder"],
        filename=row["filename"],
        mime_type=row["mime_type"],
        user_id=row["user_id"],
        created_at=row["created_at"],
        created_by=row["created_by"],
        updated_at=row["version"],
        is_deleted=row["is_deleted"],
        deleted_at=row["deleted_at"],
        deleted_by=row["deleted_by"],
        file=_file(row, row["file_id"]),
    )
    return State(Version(row["version"], row["is_deleted"], _fields(row)), document)


def _fields(row: Row) -> dict[str, object]:
    return {name: row[name] for name in CHANGEABLE}


def _file(row: Row, file_id: UUID) -> FileInfo:
    return FileInfo(
        id=file_id,
        md5_hash=row["md5_hash"],
        sha256_hash=row["sha256_hash"],
        file_size=row["file_size"],
    )
