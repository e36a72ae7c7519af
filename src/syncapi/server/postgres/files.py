"""Files: content that a tenant keeps once, whoever sends it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Row,
    Table,
    and_,
    case,
    delete,
    exists,
    func,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from syncapi.protocol.content import Digest
from syncapi.server.postgres.databases import TenantConnection
from syncapi.server.postgres.tables import document_history, documents, files

COLUMNS: tuple[ColumnElement[Any], ...] = (
    files.c.id,
    files.c.s3_path,
    files.c.md5_hash,
    files.c.sha256_hash,
    files.c.file_size,
)
"""What `stored` needs. The others are not read: others than we write them, and not all that
PostgreSQL can hold can be read here, such as times before Christ.
"""

# A row of before the constraints takes no update: it is held, and not renewed.
_HASHED: Final = and_(
    files.c.md5_hash.regexp_match("^[0-9a-f]{32}$"),
    files.c.sha256_hash.regexp_match("^[0-9a-f]{64}$"),
)


@dataclass(frozen=True, slots=True)
class StoredFile:
    """Content and where its bytes are.

    Attributes:
        s3_path: the key in the bucket; no two uploads share one.
    """

    id: UUID
    s3_path: str
    digest: Digest


async def find_path(connection: TenantConnection, digest: Digest) -> str | None:
    """The key at which a row says that the tenant has these bytes; None where no row does."""
    query = select(files.c.s3_path).where(_has_bytes(connection, digest.sha256_hash))
    path: str | None = (await connection.connection.execute(query)).scalar_one_or_none()
    return path


async def adopt(
    tx: TenantConnection, file: StoredFile, missing_path: str | None = None
) -> StoredFile:
    """Make the row of ``file``, or find the one that its bytes have already, and promise it.

    What a row of before says else of these bytes is mended: by now they have been read. Where it
    has them at ``missing_path``, a key that has no object, it has those of ``file`` from now on.

    Two that adopt the same bytes wait for each other here, and one of them finds the other's row.
    """
    while True:
        if await _inserted(tx, file):
            return file
        known = await _mended(tx, file, missing_path)
        if known is not None:  # else it was deleted between the two statements
            return known


async def pin(tx: TenantConnection, file_id: UUID) -> StoredFile | None:
    """The tenant's file of this id, kept from deletion until the transaction ends."""
    query = select(*COLUMNS).where(_is(tx, file_id)).with_for_update(read=True, key_share=True)
    row = (await tx.connection.execute(query)).one_or_none()
    return None if row is None else stored(row)


async def promise(tx: TenantConnection, file_id: UUID) -> StoredFile | None:
    """The tenant's file of this id, for a client that gets it in an answer and may refer to it.

    It is kept from deletion until the transaction ends, and from then on for as long as files are
    kept that nothing refers to.
    """
    mine = _is(tx, file_id)
    renewed = await _changed(tx, mine & _HASHED)
    if renewed is not None:
        return renewed
    held = select(*COLUMNS).where(mine).with_for_update(read=True, key_share=True)
    row = (await tx.connection.execute(held)).one_or_none()
    return None if row is None else stored(row)


async def promise_bytes(
    tx: TenantConnection, digest: Digest, missing_path: str | None = None
) -> StoredFile | None:
    """The file that has these bytes, as `promise` has it.

    None also where its row tells another MD5: only the bytes can say which is right. They are to
    be sent again, and mend the row. None as well where it has them at ``missing_path``, a key that
    has no object.
    """
    is_told = files.c.md5_hash == digest.md5_hash
    if missing_path is not None:
        is_told &= files.c.s3_path != missing_path
    return await _changed(tx, _has_bytes(tx, digest.sha256_hash) & is_told)


async def _mended(
    tx: TenantConnection, file: StoredFile, missing_path: str | None
) -> StoredFile | None:
    digest = file.digest
    right: dict[str, object] = {"md5_hash": digest.md5_hash, "file_size": digest.file_size}
    if missing_path is not None:
        is_missing = files.c.s3_path == missing_path
        right["s3_path"] = case((is_missing, file.s3_path), else_=files.c.s3_path)
    return await _changed(tx, _has_bytes(tx, digest.sha256_hash), **right)


async def _changed(
    tx: TenantConnection, condition: ColumnElement[bool], **values: object
) -> StoredFile | None:
    """The row that was renewed, and changed."""
    # The time of now, and not of when the transaction began: it may have waited for the row.
    renewal = update(files).where(condition).values(updated_at=func.clock_timestamp(), **values)
    row = (await tx.connection.execute(renewal.returning(*COLUMNS))).one_or_none()
    return None if row is None else stored(row)


async def unpromised(
    tx: TenantConnection, file_ids: Collection[UUID], age: timedelta
) -> dict[UUID, str]:
    """The keys of those that were not promised within ``age``, and that no live document has.

    Garbage collection may have taken the bytes of such a file, and a backup brought its row back.
    """
    is_used = exists().where(
        documents.c.tenant_id == files.c.tenant_id,
        documents.c.file_id == files.c.id,
        ~documents.c.is_deleted,
    )
    query = select(files.c.id, files.c.s3_path).where(
        files.c.tenant_id == tx.tenant_id,
        files.c.id.in_(file_ids),
        files.c.updated_at <= func.now() - age,
        ~is_used,
    )
    return {row.id: row.s3_path for row in await tx.connection.execute(query)}


async def renew(tx: TenantConnection, file_ids: Collection[UUID]) -> None:
    """Let the time for which files without a reference are kept begin anew."""
    await tx.driver.execute("SELECT feed.renew_files($1, $2)", tx.tenant_id, list(file_ids))


async def drop_unreferenced(
    tx: TenantConnection, file_ids: Collection[UUID], *, unpromised_for: timedelta
) -> Sequence[StoredFile]:
    """Delete those of the files that no document and no version of one refers to.

    A file that was made or promised less than ``unpromised_for`` ago stays.

    The lock comes first, in a statement of its own, so that the check sees what those committed
    who had pinned the row; in the order of ids, so that two that delete cannot deadlock.
    """
    mine = and_(files.c.tenant_id == tx.tenant_id, files.c.id.in_(file_ids))
    await tx.connection.execute(
        select(files.c.id).where(mine).order_by(files.c.id).with_for_update()
    )
    unreferenced = (
        delete(files)
        .where(
            mine,
            files.c.updated_at <= func.now() - unpromised_for,
            ~_referred_to_by(documents),
            ~_referred_to_by(document_history),
        )
        .returning(*COLUMNS)
    )
    return [stored(row) for row in await tx.connection.execute(unreferenced)]


async def is_kept(tx: TenantConnection, file: StoredFile) -> bool:
    """Whether a row points at the bytes of ``file``, now and for good.

    Waits for a transaction that still inserts or deletes the row, even if its client is gone: a
    lost connection says nothing of what the server makes of a COMMIT.
    """
    if await _inserted(tx, file):
        await tx.connection.execute(delete(files).where(_is(tx, file.id)))
        return False
    query = select(files.c.id).where(
        _has_bytes(tx, file.digest.sha256_hash), files.c.s3_path == file.s3_path
    )
    return (await tx.connection.execute(query)).one_or_none() is not None


async def _inserted(tx: TenantConnection, file: StoredFile) -> bool:
    row = {
        "tenant_id": tx.tenant_id,
        "id": file.id,
        "md5_hash": file.digest.md5_hash,
        "sha256_hash": file.digest.sha256_hash,
        "s3_path": file.s3_path,
        "file_size": file.digest.file_size,
        "created_by": tx.scope.user_id,
    }
    statement = insert(files).values(row).on_conflict_do_nothing().returning(files.c.id)
    return (await tx.connection.execute(statement)).one_or_none() is not None


def _is(tx: TenantConnection, file_id: UUID) -> ColumnElement[bool]:
    return and_(files.c.tenant_id == tx.tenant_id, files.c.id == file_id)


def _has_bytes(tx: TenantConnection, sha256_hash: str) -> ColumnElement[bool]:
    return and_(files.c.tenant_id == tx.tenant_id, files.c.sha256_hash == sha256_hash)


def _referred_to_by(table: Table) -> ColumnElement[bool]:
    return exists().where(table.c.tenant_id == files.c.tenant_id, table.c.file_id == files.c.id)


def stored(row: Row[Any]) -> StoredFile:
    digest = Digest(row.md5_hash, row.sha256_hash, row.file_size)
    return StoredFile(id=row.id, s3_path=row.s3_path, digest=digest)
