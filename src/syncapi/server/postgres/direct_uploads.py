"""Uploads that go from clients straight to S3, and the files that they become."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, and_, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from syncapi.protocol.content import Digest
from syncapi.server.domain.transfers import Plan
from syncapi.server.postgres import files
from syncapi.server.postgres.databases import TenantConnection
from syncapi.server.postgres.files import StoredFile
from syncapi.server.postgres.tables import direct_uploads


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectUpload:
    """An upload under way.

    Attributes:
        id: also the id of the file that it becomes, unless another file has the bytes first.
        digest: as declared.
        s3_path: a key that no other upload has.
        s3_upload_id: of the multipart upload; None where one PUT takes the file.
    """

    id: UUID
    digest: Digest
    mime_type: str
    s3_path: str
    s3_upload_id: str | None
    plan: Plan

    @property
    def file(self) -> StoredFile:
        """What it becomes."""
        return StoredFile(self.id, self.s3_path, self.digest)


async def find_pending(
    tx: TenantConnection, declared: Digest, expires_at: datetime
) -> DirectUpload | None:
    """The pending upload of these bytes, which is now kept until ``expires_at`` at least."""
    return await _renew(
        tx,
        and_(
            direct_uploads.c.sha256_hash == declared.sha256_hash,
            direct_uploads.c.md5_hash == declared.md5_hash,
            direct_uploads.c.file_size == declared.file_size,
        ),
        expires_at,
    )


async def renew(
    tx: TenantConnection, upload_id: UUID, expires_at: datetime
) -> DirectUpload | None:
    """The pending upload of this id, which is now kept until ``expires_at`` at least."""
    return await _renew(tx, direct_uploads.c.id == upload_id, expires_at)


async def add(tx: TenantConnection, upload: DirectUpload, expires_at: datetime) -> bool:
    """Keep a new upload; False if one of the same bytes is under way already."""
    row = {
        "tenant_id": tx.tenant_id,
        "id": upload.id,
        "md5_hash": upload.digest.md5_hash,
        "sha256_hash": upload.digest.sha256_hash,
        "file_size": upload.digest.file_size,
        "mime_type": upload.mime_type,
        "s3_path": upload.s3_path,
        "s3_upload_id": upload.s3_upload_id,
        "part_size": upload.plan.part_size,
        "created_by": tx.scope.user_id,
        "expires_at": expires_at,
    }
    statement = insert(direct_uploads).values(row).on_conflict_do_nothing()
    added = await tx.connection.execute(statement.returning(direct_uploads.c.id))
    return added.one_or_none() is not None


async def finish(
    tx: TenantConnection, upload: DirectUpload, missing_path: str | None = None
) -> StoredFile | None:
    """Make the file of an upload whose bytes were verified, or find the one that has them.

    ``missing_path`` is as in `files.adopt`.

    None if the upload is not under way any more.
    """
    lock = select(direct_uploads.c.id).where(_pending(tx, upload.id)).with_for_update()
    if (await tx.connection.execute(lock)).one_or_none() is None:
        return None
    kept = await files.adopt(tx, upload.file, missing_path)
    await tx.connection.execute(
        update(direct_uploads).where(_is(tx, upload.id)).values(file_id=kept.id)
    )
    return kept


async def outcome(tx: TenantConnection, upload_id: UUID) -> StoredFile | None:
    """The file that an upload became, or else the file of this id; promised."""
    statement = select(direct_uploads.c.file_id).where(_is(tx, upload_id))
    became = (await tx.connection.execute(statement)).scalar_one_or_none()
    return await files.promise(tx, became or upload_id)


async def drop(tx: TenantConnection, upload_id: UUID) -> bool:
    """Forget an upload that is under way; False if it is not."""
    removal = delete(direct_uploads).where(_pending(tx, upload_id))
    gone = await tx.connection.execute(removal.returning(direct_uploads.c.id))
    return gone.one_or_none() is not None


async def _renew(
    tx: TenantConnection, condition: ColumnElement[bool], expires_at: datetime
) -> DirectUpload | None:
    statement = (
        update(direct_uploads)
        .where(
            direct_uploads.c.tenant_id == tx.tenant_id,
            direct_uploads.c.file_id.is_(None),
            condition,
        )
        .values(expires_at=func.greatest(direct_uploads.c.expires_at, expires_at))
        .returning(direct_uploads)
    )
    row = (await tx.connection.execute(statement)).one_or_none()
    return None if row is None else _upload(row)


def _is(tx: TenantConnection, upload_id: UUID) -> ColumnElement[bool]:
    return and_(direct_uploads.c.tenant_id == tx.tenant_id, direct_uploads.c.id == upload_id)


def _pending(tx: TenantConnection, upload_id: UUID) -> ColumnElement[bool]:
    return and_(_is(tx, upload_id), direct_uploads.c.file_id.is_(None))


def _upload(row: Row[Any]) -> DirectUpload:
    return DirectUpload(
        id=row.id,
        digest=Digest(row.md5_hash, row.sha256_hash, row.file_size),
        mime_type=row.mime_type,
        s3_path=row.s3_path,
        s3_upload_id=row.s3_upload_id,
        plan=Plan(row.file_size, row.part_size),
    )
