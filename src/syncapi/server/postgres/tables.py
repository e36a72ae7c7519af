"""The tables of a tenant database, as SQLAlchemy Core.

The migrations in ``alembic/tenant`` make them; a test compares the two. Every key begins with
``tenant_id``, so that many tenants can share one database.
"""

from sqlalchemy import (
    CHAR,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

NAMING_CONVENTION = {
    "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "ck": "%(table_name)s_%(constraint_name)s_check",
    "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
    "pk": "%(table_name)s_pkey",
}

metadata = MetaData(naming_convention=NAMING_CONVENTION)

Moment = DateTime(timezone=True)

files = Table(
    "files",
    metadata,
    Column("tenant_id", UUID, nullable=False),
    Column("id", UUID, nullable=False, server_default=func.gen_random_uuid()),
    Column("md5_hash", CHAR(32), nullable=False),
    Column("sha256_hash", CHAR(64), nullable=False),
    Column("s3_path", String(500), nullable=False),
    Column("file_size", BigInteger, nullable=False),
    Column("file_metadata", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    Column("created_at", Moment, nullable=False, server_default=func.now()),
    Column("updated_at", Moment, nullable=False, server_default=func.now()),
    Column("created_by", UUID),
    PrimaryKeyConstraint("tenant_id", "id"),
    UniqueConstraint("tenant_id", "sha256_hash"),
    CheckConstraint("file_size >= 0", name="file_size"),
    CheckConstraint("s3_path <> '' AND s3_path !~ '(^|/)[.][.]?(/|$)'", name="s3_path"),
    # Where older rows break these, they stay, and the constraints are not validated.
    CheckConstraint("md5_hash ~ '^[0-9a-f]{32}$'", name="md5_hash"),
    CheckConstraint("sha256_hash ~ '^[0-9a-f]{64}$'", name="sha256_hash"),
    Index("files_s3_path_idx", "tenant_id", "s3_path"),
)

documents = Table(
    "documents",
    metadata,
    Column("tenant_id", UUID, nullable=False),
    Column("id", UUID, nullable=False, server_default=func.gen_random_uuid()),
    Column("filename", String(255), nullable=False),
    Column("mime_type", String(100), nullable=False),
    Column("file_id", UUID, nullable=False),
    Column("user_id", UUID),
    Column("created_at", Moment, nullable=False, server_default=func.now()),
    # For older applications that read the table; the API answers with the feed's stamp.
    Column("updated_at", Moment, nullable=False, server_default=func.now()),
    Column("created_by", UUID),
    Column("is_deleted", Boolean, nullable=False, server_default=text("false")),
    Column("deleted_at", Moment),
    Column("deleted_by", UUID),
    # Of the last push: the history takes them over, see feed.write_version.
    Column("updated_by", UUID),
    Column("change_id", UUID),
    # Empty for the root. Writers that know of no folders leave it out.
    Column("folder", String(1000), nullable=False, server_default=text("''")),
    PrimaryKeyConstraint("tenant_id", "id"),
    ForeignKeyConstraint(["tenant_id", "file_id"], ["files.tenant_id", "files.id"]),
    # What a time in an answer can be.
    CheckConstraint(
        "created_at BETWEEN '0001-01-01 00:00:00+00' AND '9999-12-31 23:59:59.999999+00' "
        "AND deleted_at BETWEEN '0001-01-01 00:00:00+00' AND '9999-12-31 23:59:59.999999+00'",
        name="times_in_years_1_to_9999",
    ),
    Index("documents_file_idx", "tenant_id", "file_id"),
    Index(
        "documents_newest_idx",
        "tenant_id",
        text("created_at DESC"),
        text("id DESC"),
        postgresql_where=text("NOT is_deleted"),
    ),
)

document_history = Table(
    "document_history",
    metadata,
    Column("tenant_id", UUID, nullable=False),
    Column("document_id", UUID, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("filename", String(255), nullable=False),
    Column("mime_type", String(100), nullable=False),
    Column("file_id", UUID, nullable=False),
    Column("user_id", UUID),
    Column("is_deleted", Boolean, nullable=False),
    # Who: the API's user, and the role of the database session, which a psql user has too.
    Column("changed_by", UUID),
    Column("database_role", Text, nullable=False),
    Column("change_id", UUID),
    Column("folder", String(1000), nullable=False, server_default=text("''")),
    PrimaryKeyConstraint("tenant_id", "document_id", "updated_at"),
    Index("document_history_file_idx", "tenant_id", "file_id"),
    Index(
        "document_history_change_idx",
        "tenant_id",
        "change_id",
        unique=True,
        postgresql_where=text("change_id IS NOT NULL"),
    ),
)

tenant_clock = Table(
    "tenant_clock",
    metadata,
    Column("tenant_id", UUID, nullable=False),
    Column("last", Moment, nullable=False),
    Column("opened_at", Moment, nullable=False),
    Column("lineage", LargeBinary, nullable=False),
    Column("tombstone_floor", Moment, nullable=False, server_default=text("'epoch'")),
    # Where the clock ticked last, and which feed this is, see feed.place and tenants.feed_id.
    Column("place", Text, nullable=False),
    Column("feed_id", UUID, nullable=False),
    Column("voided_at", Moment, nullable=False, server_default=text("'epoch'")),
    PrimaryKeyConstraint("tenant_id"),
)

# Histories that were left for another one: up to `forked_at` they agree with the present.
# `left_at` is when that was noticed, by the wall clock. After a void only the collector goes by
# them.
feed_forks = Table(
    "feed_forks",
    metadata,
    Column("tenant_id", UUID, nullable=False),
    Column("lineage", LargeBinary, nullable=False),
    Column("forked_at", Moment, nullable=False),
    Column("left_at", Moment, nullable=False, server_default=func.now()),
    Column("is_void", Boolean, nullable=False, server_default=text("false")),
    PrimaryKeyConstraint("tenant_id", "lineage"),
)

feed_entries = Table(
    "feed_entries",
    metadata,
    Column("tenant_id", UUID, nullable=False),
    Column("id", UUID, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("appeared_at", Moment, nullable=False),
    Column("is_deleted", Boolean, nullable=False),
    PrimaryKeyConstraint("tenant_id", "id"),
    Index(
        "feed_entries_keyset_idx",
        "tenant_id",
        "updated_at",
        "id",
        unique=True,
        postgresql_include=["is_deleted", "appeared_at"],
    ),
    Index(
        "feed_entries_tombstones_idx",
        "tenant_id",
        "updated_at",
        postgresql_where=text("is_deleted"),
    ),
)

direct_uploads = Table(
    "direct_uploads",
    metadata,
    Column("tenant_id", UUID, nullable=False),
    Column("id", UUID, nullable=False),
    Column("md5_hash", CHAR(32), nullable=False),
    Column("sha256_hash", CHAR(64), nullable=False),
    Column("file_size", BigInteger, nullable=False),
    Column("mime_type", String(100), nullable=False),
    Column("s3_path", String(500), nullable=False),
    # Null where one PUT takes the file.
    Column("s3_upload_id", Text),
    Column("part_size", BigInteger, nullable=False),
    Column("created_at", Moment, nullable=False, server_default=func.now()),
    Column("created_by", UUID),
    # When the last URL that was signed stops working.
    Column("expires_at", Moment, nullable=False),
    # The file that it became; null while it is under way.
    Column("file_id", UUID),
    PrimaryKeyConstraint("tenant_id", "id"),
    UniqueConstraint("tenant_id", "s3_path"),
    CheckConstraint("file_size >= 0", name="file_size"),
    Index(
        "direct_uploads_pending_idx",
        "tenant_id",
        "sha256_hash",
        "md5_hash",
        "file_size",
        unique=True,
        postgresql_where=text("file_id IS NULL"),
    ),
    Index("direct_uploads_expiry_idx", "tenant_id", "expires_at"),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("tenant_id", UUID, nullable=False),
    Column("user_id", UUID, nullable=False),
    Column("key", String(255), nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("answer", JSONB),
    Column("created_at", Moment, nullable=False, server_default=func.now()),
    PrimaryKeyConstraint("tenant_id", "user_id", "key"),
    Index("idempotency_keys_created_idx", "tenant_id", "created_at"),
)

# The ledger of versions that left the history. A version that no push has made has a drawn id.
collected_changes = Table(
    "collected_changes",
    metadata,
    Column("tenant_id", UUID, nullable=False),
    Column("change_id", UUID, nullable=False),
    Column("document_id", UUID, nullable=False),
    Column("applied_at", Moment, nullable=False),
    Column("collected_at", Moment, nullable=False, server_default=func.now()),
    PrimaryKeyConstraint("tenant_id", "change_id"),
    Index("collected_changes_collected_idx", "tenant_id", "collected_at"),
    Index("collected_changes_document_idx", "tenant_id", "document_id", "applied_at"),
)
