"""Uploads straight to S3, idempotency keys, and what garbage collection needs.

Collecting a tombstone now takes the softly deleted row of the document with it: without its entry
in the feed no client can know the document any more, and the row would stand in the way of a new
one with its id.
"""

from alembic import op

revision = "tenant_0002"
down_revision = "tenant_0001"
branch_labels = None
depends_on = None

TABLES = [
    # s3_upload_id: NULL where one PUT takes the file. file_id: the file that the upload became.
    """
    CREATE TABLE direct_uploads (
      tenant_id uuid NOT NULL,
      id uuid NOT NULL,
      md5_hash char(32) NOT NULL,
      sha256_hash char(64) NOT NULL,
      file_size bigint NOT NULL,
      mime_type varchar(100) NOT NULL,
      s3_path varchar(500) NOT NULL,
      s3_upload_id text,
      part_size bigint NOT NULL,
      created_at timestamptz NOT NULL DEFAULT now(),
      created_by uuid,
      expires_at timestamptz NOT NULL,
      file_id uuid,
      CONSTRAINT direct_uploads_pkey PRIMARY KEY (tenant_id, id),
      CONSTRAINT direct_uploads_tenant_id_s3_path_key UNIQUE (tenant_id, s3_path),
      CONSTRAINT direct_uploads_file_size_check CHECK (file_size >= 0))
    """,
    # Not by the SHA-256 alone: a wrong declaration must not stand in the way of the right one.
    """
    CREATE UNIQUE INDEX direct_uploads_pending_idx
      ON direct_uploads (tenant_id, sha256_hash, md5_hash, file_size) WHERE file_id IS NULL
    """,
    "CREATE INDEX direct_uploads_expiry_idx ON direct_uploads (tenant_id, expires_at)",
    """
    COMMENT ON TABLE direct_uploads IS
      'Files whose bytes clients send straight to S3. expires_at: when the last URL that was '
      'signed stops working; file_id: the file that it became, NULL while it is under way.'
    """,
    """
    CREATE TABLE idempotency_keys (
      tenant_id uuid NOT NULL,
      user_id uuid NOT NULL,
      key varchar(255) NOT NULL,
      fingerprint bytea NOT NULL,
      answer jsonb,
      created_at timestamptz NOT NULL DEFAULT now(),
      CONSTRAINT idempotency_keys_pkey PRIMARY KEY (tenant_id, user_id, key))
    """,
    "CREATE INDEX idempotency_keys_created_idx ON idempotency_keys (tenant_id, created_at)",
    # The ledger of pushes whose versions were collected from the history.
    """
    CREATE TABLE collected_changes (
      tenant_id uuid NOT NULL,
      change_id uuid NOT NULL,
      document_id uuid NOT NULL,
      applied_at timestamptz NOT NULL,
      CONSTRAINT collected_changes_pkey PRIMARY KEY (tenant_id, change_id))
    """,
    "CREATE INDEX collected_changes_applied_idx ON collected_changes (tenant_id, applied_at)",
]

# Raise the floor and collect in one transaction, under the clock: a reader sees both or neither.
# The documents' rows first, the clock last, as every writer.
COLLECT_WITH_ROWS = """
    CREATE OR REPLACE FUNCTION feed.collect_tombstones(
      tenant uuid, keep interval, most int DEFAULT 5000)
      RETURNS bigint LANGUAGE plpgsql AS $$
    DECLARE
      horizon timestamptz := feed.wall_clock() - keep;
      old uuid[] := ARRAY(
        SELECT id FROM public.feed_entries
        WHERE tenant_id = tenant AND is_deleted AND updated_at < horizon
        ORDER BY updated_at LIMIT most);
      collected uuid[];
      highest timestamptz;
    BEGIN
      PERFORM 1 FROM public.documents
      WHERE tenant_id = tenant AND id = ANY(old) ORDER BY id FOR UPDATE;
      PERFORM 1 FROM public.tenant_clock WHERE tenant_id = tenant FOR NO KEY UPDATE;
      WITH gone AS (
        DELETE FROM public.feed_entries AS entry
        WHERE entry.tenant_id = tenant AND entry.id = ANY(old)
          AND entry.is_deleted AND entry.updated_at < horizon
        RETURNING entry.id, entry.updated_at)
      SELECT array_agg(id), max(updated_at) INTO collected, highest FROM gone;
      DELETE FROM public.documents
      WHERE tenant_id = tenant AND id = ANY(collected) AND is_deleted;
      UPDATE public.tenant_clock SET tombstone_floor = greatest(tombstone_floor, highest)
      WHERE tenant_id = tenant AND highest IS NOT NULL;
      RETURN coalesce(cardinality(collected), 0);
    END $$
"""

# A softly deleted row without an entry is one whose tombstone was collected: its end is no news.
RECORD_UNLESS_COLLECTED = """
    CREATE OR REPLACE FUNCTION feed.record_change() RETURNS trigger LANGUAGE plpgsql
      SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    BEGIN
      IF TG_OP = 'DELETE' AND OLD.is_deleted AND NOT EXISTS (
           SELECT FROM public.feed_entries AS entry
           WHERE entry.tenant_id = OLD.tenant_id AND entry.id = OLD.id) THEN
        RETURN NULL;
      END IF;
      IF TG_OP = 'DELETE'
         OR (TG_OP = 'UPDATE' AND (NEW.tenant_id, NEW.id) <> (OLD.tenant_id, OLD.id)) THEN
        PERFORM feed.write_version(OLD, true);
      END IF;
      IF TG_OP <> 'DELETE' THEN
        PERFORM feed.write_version(NEW, NEW.is_deleted);
      END IF;
      RETURN NULL;
    END $$
"""

COLLECT_ENTRIES = """
    CREATE OR REPLACE FUNCTION feed.collect_tombstones(
      tenant uuid, keep interval, most int DEFAULT 5000)
      RETURNS bigint LANGUAGE plpgsql AS $$
    DECLARE
      collected bigint;
      highest timestamptz;
    BEGIN
      PERFORM 1 FROM public.tenant_clock WHERE tenant_id = tenant FOR NO KEY UPDATE;
      WITH old AS (
        SELECT id FROM public.feed_entries
        WHERE tenant_id = tenant AND is_deleted AND updated_at < feed.wall_clock() - keep
        ORDER BY updated_at LIMIT most),
      gone AS (
        DELETE FROM public.feed_entries AS entry USING old
        WHERE entry.tenant_id = tenant AND entry.id = old.id AND entry.is_deleted
        RETURNING entry.updated_at)
      SELECT count(*), max(updated_at) INTO collected, highest FROM gone;
      UPDATE public.tenant_clock SET tombstone_floor = greatest(tombstone_floor, highest)
      WHERE tenant_id = tenant AND collected > 0;
      RETURN collected;
    END $$
"""

RECORD_ALWAYS = """
    CREATE OR REPLACE FUNCTION feed.record_change() RETURNS trigger LANGUAGE plpgsql
      SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    BEGIN
      IF TG_OP = 'DELETE'
         OR (TG_OP = 'UPDATE' AND (NEW.tenant_id, NEW.id) <> (OLD.tenant_id, OLD.id)) THEN
        PERFORM feed.write_version(OLD, true);
      END IF;
      IF TG_OP <> 'DELETE' THEN
        PERFORM feed.write_version(NEW, NEW.is_deleted);
      END IF;
      RETURN NULL;
    END $$
"""

# Says of an object in S3 whether a file has it. Concurrently, so that uploads go on meanwhile,
# however long it takes and waits; an attempt that failed has left an index that is not valid.
PATH_INDEX = [
    "DROP INDEX CONCURRENTLY IF EXISTS files_s3_path_idx",
    "CREATE INDEX CONCURRENTLY files_s3_path_idx ON files (tenant_id, s3_path)",
]


def concurrently(statements: list[str]) -> None:
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = 0")
        op.execute("SET statement_timeout = 0")
        for statement in statements:
            op.execute(statement)
        op.execute("SET lock_timeout = '5s'")
        op.execute("SET statement_timeout = '5min'")


def upgrade() -> None:
    concurrently(PATH_INDEX)
    for statement in (*TABLES, COLLECT_WITH_ROWS, RECORD_UNLESS_COLLECTED):
        op.execute(statement)


def downgrade() -> None:
    for statement in (RECORD_ALWAYS, COLLECT_ENTRIES):
        op.execute(statement)
    for table in ("collected_changes", "idempotency_keys", "direct_uploads"):
        op.execute(f"DROP TABLE {table}")
    concurrently(["DROP INDEX CONCURRENTLY files_s3_path_idx"])
