"""Files: content that a tenant keeps once, however many send it."""

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
"""The columns that `stored` needs. The others may be written by other programs and hold what
cannot be read here, such as times before Christ.
"""

# An update of a row that is older than the constraints and violates them fails, so it is only
# locked.
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
    """The key that a row names for these bytes of the tenant; None if no row has them."""
    query = select(files.c.s3_path).where(_has_bytes(connection, digest.sha256_hash))
    path: str | None = (await connection.connection.execute(query)).scalar_one_or_none()
    return path


async def adopt(
    tx: TenantConnection, file: StoredFile, missing_path: str | None = None
) -> StoredFile:
    """Insert the row of ``file``, or find the row that has its bytes already, and promise it.

    An older row is corrected where its MD5 or size is wrong: the caller has read the bytes. If it
    names ``missing_path``, a key that has no object, it names the key of ``file`` from now on.

    Of two transactions that adopt the same bytes, one waits for the other and finds its row.
    """
    while True:
        if await _insert(tx, file):
            return file
        known = await _correct(tx, file, missing_path)
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
    renewed = await _renew_row(tx, mine & _HASHED)
    if renewed is not None:
        return renewed
    held = select(*COLUMNS).where(mine).with_for_update(read=True, key_share=True)
    row = (await tx.connection.execute(held)).one_or_none()
    return None if row is None else stored(row)


async def promise_bytes(
    tx: TenantConnection, digest: Digest, missing_path: str | None = None
) -> StoredFile | None:
    """The file that has these bytes, promised as by `promise`.

    None also if its row has another MD5: the bytes must be sent again to find out which is right.
    None as well if the row names ``missing_path``, a key that has no object.
    """
    is_good = files.c.md5_hash == digest.md5_hash
    if missing_path is not None:
        is_good &= files.c.s3_path != missing_path
    return await _renew_row(tx, _has_bytes(tx, digest.sha256_hash) & is_good)


async def _correct(
    tx: TenantConnection, file: StoredFile, missing_path: str | None
) -> StoredFile | None:
    digest = file.digest
    right: dict[str, object] = {"md5_hash": digest.md5_hash, "file_size": digest.file_size}
    if missing_path is not None:
        is_missing = files.c.s3_path == missing_path
        right["s3_path"] = case((is_missing, file.s3_path), else_=files.c.s3_path)
    return await _renew_row(tx, _has_bytes(tx, digest.sha256_hash), **right)


async def _renew_row(
    tx: TenantConnection, condition: ColumnElement[bool], **values: object
) -> StoredFile | None:
    """Write the time, and ``values``, into the row that fits; None if there is none."""
    # Not the time at which the transaction began: it may have waited for the row.
    renewal = update(files).where(condition).values(updated_at=func.clock_timestamp(), **values)
    row = (await tx.connection.execute(renewal.returning(*COLUMNS))).one_or_none()
    return None if row is None else stored(row)


async def unpromised(
    tx: TenantConnection, file_ids: Collection[UUID], age: timedelta
) -> dict[UUID, str]:
    """The keys of the files that were not promised within ``age`` and that no live document has.

    Garbage collection may have deleted the bytes of such a file before a backup restored its row.
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
    """Restart the time for which files without a reference are kept."""
    await tx.driver.execute("SELECT feed.renew_files($1, $2)", tx.tenant_id, list(file_ids))


async def drop_unreferenced(
    tx: TenantConnection, file_ids: Collection[UUID], *, unpromised_for: timedelta
) -> Sequence[StoredFile]:
    """Delete those of the files that no document and no version of one refers to.

    A file that was made or promised less than ``unpromised_for`` ago stays.

    The rows are locked first, in a statement of its own, so that the check sees what transactions
    that had pinned them have committed; in the order of ids, so that two deletions cannot
    deadlock.
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

    It waits for a transaction that still inserts or deletes the row, even if its client is gone:
    the server may carry out a COMMIT whose connection was lost.
    """
    if await _insert(tx, file):
        await tx.connection.execute(delete(files).where(_is(tx, file.id)))
        return False
    query = select(files.c.id).where(
        _has_bytes(tx, file.digest.sha256_hash), files.c.s3_path == file.s3_path
    )
    return (await tx.connection.execute(query)).one_or_none() is not None


async def _insert(tx: TenantConnection, file: StoredFile) -> bool:
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
