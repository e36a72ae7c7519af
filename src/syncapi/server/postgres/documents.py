"""Documents, one at a time and in lists."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Row,
    Select,
    and_,
    any_,
    delete,
    func,
    insert,
    literal,
    select,
    text,
    true,
    update,
)

from syncapi.protocol.documents import Document, FileInfo
from syncapi.server.domain.listing import Listing
from syncapi.server.postgres.databases import TenantConnection
from syncapi.server.postgres.files import StoredFile
from syncapi.server.postgres.tables import documents, feed_entries, files

# Versions that no push has made are remembered too: a client then knows that they were not lost.
_FORGET_VERSIONS = """
WITH gone AS (
  DELETE FROM document_history WHERE tenant_id = $1 AND document_id = $2
  RETURNING file_id, change_id, updated_at
), kept AS (
  INSERT INTO collected_changes (tenant_id, change_id, document_id, applied_at)
  SELECT $1, coalesce(change_id, gen_random_uuid()), $2, updated_at FROM gone
  ON CONFLICT DO NOTHING
)
SELECT DISTINCT file_id FROM gone
"""

# The version of a document that the feed does not know: it was written while triggers were off.
_UNKNOWN = text("'epoch'::timestamptz")

_ENTRY = and_(
    feed_entries.c.tenant_id == documents.c.tenant_id, feed_entries.c.id == documents.c.id
)
_FILE = and_(files.c.tenant_id == documents.c.tenant_id, files.c.id == documents.c.file_id)
_COLUMNS = (
    documents.c.id,
    documents.c.folder,
    documents.c.filename,
    documents.c.mime_type,
    documents.c.user_id,
    documents.c.created_at,
    documents.c.created_by,
    func.coalesce(feed_entries.c.updated_at, _UNKNOWN).label("updated_at"),
    documents.c.is_deleted,
    documents.c.deleted_at,
    documents.c.deleted_by,
    documents.c.file_id,
    files.c.md5_hash,
    files.c.sha256_hash,
    files.c.file_size,
    files.c.s3_path,
)


@dataclass(frozen=True, slots=True)
class KeptDocument:
    """A document as of its last commit, deleted or not, and where its bytes are."""

    document: Document
    s3_path: str


async def find(connection: TenantConnection, document_id: UUID) -> KeptDocument | None:
    """The document, also if it was softly deleted."""
    query = _read().where(_is(connection, document_id))
    row = (await connection.connection.execute(query)).one_or_none()
    return None if row is None else KeptDocument(_document(row), row.s3_path)


async def find_live(connection: TenantConnection, ids: Sequence[UUID]) -> dict[UUID, KeptDocument]:
    """Those of the documents that live, in one statement, so of one moment."""
    query = _read().where(
        documents.c.tenant_id == connection.tenant_id,
        documents.c.id == any_(literal(ids, ARRAY(documents.c.id.type))),
        ~documents.c.is_deleted,
    )
    rows = await connection.connection.execute(query)
    return {row.id: KeptDocument(_document(row), row.s3_path) for row in rows}


async def find_locked(tx: TenantConnection, document_id: UUID) -> KeptDocument | None:
    """The document, locked against changes by others until this transaction ends.

    The lock and the read are two statements: one statement that waited for the lock would see the
    row as it is now, but the feed's entry, and so the version, as it was before.
    """
    lock = select(documents.c.id).where(_is(tx, document_id)).with_for_update()
    if (await tx.connection.execute(lock)).one_or_none() is None:
        return None
    return await find(tx, document_id)


async def is_gone(connection: TenantConnection, document_id: UUID) -> bool:
    """Whether the feed remembers a document that is not there."""
    query = select(feed_entries.c.id).where(
        feed_entries.c.tenant_id == connection.tenant_id, feed_entries.c.id == document_id
    )
    return (await connection.connection.execute(query)).one_or_none() is not None


async def list_page(
    connection: TenantConnection, listing: Listing
) -> tuple[Sequence[Document], int]:
    """One page and the number of all that match, in one statement, so of one moment."""
    wanted = _build_conditions(connection, listing)
    counted = select(func.count().label("total")).select_from(documents)
    if listing.modified_after or listing.modified_before:
        counted = counted.join(feed_entries, _ENTRY)
    total = counted.where(*wanted).subquery("counted")
    page = (
        _read()
        .where(*wanted)
        .order_by(documents.c.created_at.desc(), documents.c.id.desc())
        .offset(listing.offset)
        .limit(listing.per_page)
    ).subquery("page")
    query = (
        select(total.c.total, *page.c)
        .select_from(total.outerjoin(page, true()))
        .order_by(page.c.created_at.desc(), page.c.id.desc())
    )
    rows = (await connection.connection.execute(query)).all()
    return [_document(row) for row in rows if row.id is not None], rows[0].total


async def add(
    tx: TenantConnection,
    document_id: UUID,
    *,
    folder: str,
    filename: str,
    mime_type: str,
    file: StoredFile,
) -> Document:
    """Insert a document of the scope's user, whose version `committed` will return."""
    user = tx.scope.user_id
    row = {
        "tenant_id": tx.tenant_id,
        "id": document_id,
        "folder": folder,
        "filename": filename,
        "mime_type": mime_type,
        "file_id": file.id,
        "user_id": user,
        "created_by": user,
    }
    statement = insert(documents).values(row).returning(documents.c.created_at)
    created_at = (await tx.connection.execute(statement)).scalar_one()
    return Document(
        id=document_id,
        folder=folder,
        filename=filename,
        mime_type=mime_type,
        user_id=user,
        created_at=created_at,
        created_by=user,
        updated_at=created_at,
        is_deleted=False,
        deleted_at=None,
        deleted_by=None,
        file=file_info(file),
    )


async def change(tx: TenantConnection, document_id: UUID, values: Mapping[str, object]) -> None:
    """Write ``values`` into the document's columns."""
    statement = update(documents).where(_is(tx, document_id))
    await tx.connection.execute(statement.values(**values, updated_at=func.clock_timestamp()))


async def mark_deleted(tx: TenantConnection, document_id: UUID) -> None:
    """Delete softly: the row becomes a tombstone."""
    values = {"is_deleted": True, "deleted_at": func.now(), "deleted_by": tx.scope.user_id}
    await change(tx, document_id, values)


async def remove(tx: TenantConnection, document_id: UUID) -> set[UUID]:
    """Delete the row and its history; return the ids of the files that they referred to.

    The triggers leave a tombstone in the feed, and a version in the history, which
    `forget_versions` removes after they have fired.
    """
    removal = delete(documents).where(_is(tx, document_id)).returning(documents.c.file_id)
    file_ids = set((await tx.connection.execute(removal)).scalars())
    return file_ids | await forget_versions(tx, document_id)


async def forget_versions(tx: TenantConnection, document_id: UUID) -> set[UUID]:
    """Delete the history of a document; return the ids of the files that it referred to.

    The ledger remembers the versions, so that a repeat of the push that made the document does not
    make it again.
    """
    rows = await tx.driver.fetch(_FORGET_VERSIONS, tx.tenant_id, document_id)
    return {row["file_id"] for row in rows}


async def committed(tx: TenantConnection, document: Document) -> Document:
    """The document with the version that this transaction commits.

    Takes the tenant's clock: nothing but the commit may follow.
    """
    stamp = await tx.stamp()
    return document if stamp is None else document.model_copy(update={"updated_at": stamp})


def file_info(file: StoredFile) -> FileInfo:
    """What the API says of a file."""
    digest = file.digest
    return FileInfo(
        id=file.id,
        md5_hash=digest.md5_hash,
        sha256_hash=digest.sha256_hash,
        file_size=digest.file_size,
    )


def _read() -> Select[Any]:
    joined = documents.outerjoin(feed_entries, _ENTRY).join(files, _FILE)
    return select(*_COLUMNS).select_from(joined)


def _is(connection: TenantConnection, document_id: UUID) -> ColumnElement[bool]:
    return and_(documents.c.tenant_id == connection.tenant_id, documents.c.id == document_id)


def _build_conditions(connection: TenantConnection, listing: Listing) -> list[ColumnElement[bool]]:
    wanted = [documents.c.tenant_id == connection.tenant_id, ~documents.c.is_deleted]
    if listing.folder is not None:
        wanted.append(documents.c.folder == listing.folder)
    if listing.filename:
        wanted.append(documents.c.filename.icontains(listing.filename, autoescape=True))
    if listing.modified_after:
        wanted.append(feed_entries.c.updated_at > listing.modified_after)
    if listing.modified_before:
        wanted.append(feed_entries.c.updated_at < listing.modified_before)
    if listing.created_after:
        wanted.append(documents.c.created_at > listing.created_after)
    return wanted


def _document(row: Row[Any]) -> Document:
    return Document(
        id=row.id,
        folder=row.folder,
        filename=row.filename,
        mime_type=row.mime_type,
        user_id=row.user_id,
        created_at=row.created_at,
        created_by=row.created_by,
        updated_at=row.updated_at,
        is_deleted=row.is_deleted,
        deleted_at=row.deleted_at,
        deleted_by=row.deleted_by,
        file=FileInfo(
            id=row.file_id,
            md5_hash=row.md5_hash,
            sha256_hash=row.sha256_hash,
            file_size=row.file_size,
        ),
    )
