"""Documents, files, history, and the feed that is stamped at commit.

Why a clock row and deferred triggers, and not ``updated_at = now()``: docs/decisions/0001.
Lock order of every writer: document rows first, the tenant's clock last, nothing after it but
the commit.
"""

from alembic import op

revision = "tenant_0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = [
    """
    CREATE TABLE files (
      tenant_id uuid NOT NULL,
      id uuid NOT NULL DEFAULT gen_random_uuid(),
      md5_hash char(32) NOT NULL,
      sha256_hash char(64) NOT NULL,
      s3_path varchar(500) NOT NULL,
      file_size bigint NOT NULL,
      file_metadata jsonb NOT NULL DEFAULT '{}',
      created_at timestamptz NOT NULL DEFAULT now(),
      updated_at timestamptz NOT NULL DEFAULT now(),
      created_by uuid,
      CONSTRAINT files_pkey PRIMARY KEY (tenant_id, id),
      CONSTRAINT files_tenant_id_sha256_hash_key UNIQUE (tenant_id, sha256_hash),
      CONSTRAINT files_file_size_check CHECK (file_size >= 0))
    """,
    """
    CREATE TABLE documents (
      tenant_id uuid NOT NULL,
      id uuid NOT NULL DEFAULT gen_random_uuid(),
      filename varchar(255) NOT NULL,
      mime_type varchar(100) NOT NULL,
      file_id uuid NOT NULL,
      user_id uuid,
      created_at timestamptz NOT NULL DEFAULT now(),
      updated_at timestamptz NOT NULL DEFAULT now(),
      created_by uuid,
      is_deleted boolean NOT NULL DEFAULT false,
      deleted_at timestamptz,
      deleted_by uuid,
      updated_by uuid,
      change_id uuid,
      CONSTRAINT documents_pkey PRIMARY KEY (tenant_id, id),
      CONSTRAINT documents_tenant_id_file_id_fkey
        FOREIGN KEY (tenant_id, file_id) REFERENCES files (tenant_id, id))
      WITH (fillfactor = 85)
    """,
    "CREATE INDEX documents_file_idx ON documents (tenant_id, file_id)",
    """
    CREATE INDEX documents_newest_idx ON documents (tenant_id, created_at DESC, id DESC)
      WHERE NOT is_deleted
    """,
    # No foreign key to files: it would lock a file's row after the clock is taken.
    """
    CREATE TABLE document_history (
      tenant_id uuid NOT NULL,
      document_id uuid NOT NULL,
      updated_at timestamptz NOT NULL,
      filename varchar(255) NOT NULL,
      mime_type varchar(100) NOT NULL,
      file_id uuid NOT NULL,
      user_id uuid,
      is_deleted boolean NOT NULL,
      changed_by uuid,
      database_role text NOT NULL,
      change_id uuid,
      CONSTRAINT document_history_pkey PRIMARY KEY (tenant_id, document_id, updated_at))
    """,
    "CREATE INDEX document_history_file_idx ON document_history (tenant_id, file_id)",
    # The ledger of pushes: a change that was applied is found again.
    """
    CREATE UNIQUE INDEX document_history_change_idx ON document_history (tenant_id, change_id)
      WHERE change_id IS NOT NULL
    """,
    # One hot row a tenant: room on the page and eager vacuum keep its updates HOT.
    """
    CREATE TABLE tenant_clock (
      tenant_id uuid NOT NULL CONSTRAINT tenant_clock_pkey PRIMARY KEY,
      last timestamptz NOT NULL,
      opened_at timestamptz NOT NULL,
      lineage text NOT NULL,
      generation int NOT NULL DEFAULT 0,
      previous_lineage text,
      forked_at timestamptz,
      tombstone_floor timestamptz NOT NULL DEFAULT 'epoch')
      WITH (fillfactor = 20, autovacuum_vacuum_threshold = 500,
            autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_cost_delay = 0)
    """,
    """
    CREATE TABLE feed_entries (
      tenant_id uuid NOT NULL,
      id uuid NOT NULL,
      updated_at timestamptz NOT NULL,
      appeared_at timestamptz NOT NULL,
      is_deleted boolean NOT NULL,
      CONSTRAINT feed_entries_pkey PRIMARY KEY (tenant_id, id))
    """,
    """
    CREATE UNIQUE INDEX feed_entries_keyset_idx ON feed_entries (tenant_id, updated_at, id)
      INCLUDE (is_deleted, appeared_at)
    """,
    """
    CREATE INDEX feed_entries_tombstones_idx ON feed_entries (tenant_id, updated_at)
      WHERE is_deleted
    """,
    """
    COMMENT ON TABLE tenant_clock IS
      'One row a tenant. last: the highest committed stamp; opened_at: no stamp is older; '
      'lineage#generation: the history the stamps belong to; up to forked_at it agrees with '
      'previous_lineage; tombstone_floor: the highest stamp of a collected tombstone.'
    """,
    """
    COMMENT ON TABLE feed_entries IS
      'One row per document ever seen and not yet collected. updated_at is the version of the '
      'document and the order of the feed; appeared_at the stamp of its insert or undelete.'
    """,
]

FUNCTIONS = [
    "CREATE SCHEMA feed",
    # In one place, so that a test can step the clock.
    """
    CREATE FUNCTION feed.wall_clock() RETURNS timestamptz LANGUAGE sql VOLATILE
      AS $$ SELECT clock_timestamp() $$
    """,
    # Cluster, timeline, database, table: one of them changes on promotion, point-in-time
    # recovery, dump and restore, upgrade. A backend that writes cannot outlive its timeline,
    # so a session works it out once.
    """
    CREATE FUNCTION feed.lineage() RETURNS text LANGUAGE plpgsql VOLATILE AS $$
    DECLARE
      known text := current_setting('feed.lineage', true);
    BEGIN
      IF known <> '' THEN RETURN known; END IF;
      known := (SELECT system_identifier FROM pg_control_system())
        || '/' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8)
        || '/' || (SELECT oid FROM pg_database WHERE datname = current_database())
        || '/' || 'public.tenant_clock'::regclass::oid;
      PERFORM set_config('feed.lineage', known, false);
      RETURN known;
    END $$
    """,
    # Take the tenant's clock until commit and issue the next stamp, also if the wall clock
    # stepped back. An asynchronous commit is made a synchronous one: else clients see what a
    # crash may take back, on the same timeline, so that nothing would tell their cursors.
    """
    CREATE FUNCTION feed.tick(tenant uuid) RETURNS timestamptz LANGUAGE plpgsql VOLATILE AS $$
    DECLARE
      here text := feed.lineage();
      stamp timestamptz;
    BEGIN
      IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'local', true);
      END IF;
      INSERT INTO public.tenant_clock AS clock (tenant_id, last, opened_at, lineage)
      SELECT tenant, wall, wall, here FROM feed.wall_clock() AS wall
      ON CONFLICT (tenant_id) DO UPDATE SET
        last = greatest(feed.wall_clock(), clock.last + interval '1 microsecond'),
        lineage = here,
        previous_lineage = CASE WHEN clock.lineage = here THEN clock.previous_lineage
                                ELSE clock.lineage || '#' || clock.generation END,
        forked_at = CASE WHEN clock.lineage = here THEN clock.forked_at ELSE clock.last END
      RETURNING last INTO stamp;
      RETURN stamp;
    END $$
    """,
    # The stamp that this transaction already issued for the tenant, or NULL. 64 slots of
    # transaction-local settings: ROLLBACK TO SAVEPOINT takes back slot and lock alike.
    """
    CREATE FUNCTION feed.issued_stamp(tenant uuid) RETURNS timestamptz
      LANGUAGE plpgsql VOLATILE AS $$
    DECLARE
      slot text := current_setting('feed.slot' || (hashtext(tenant::text) & 63), true);
      owner text := pg_current_xact_id()::text || ' ' || tenant::text || ' ';
    BEGIN
      IF starts_with(slot, owner) THEN
        RETURN substr(slot, length(owner) + 1)::timestamptz;
      END IF;
      RETURN NULL;
    END $$
    """,
    # One stamp per transaction and tenant: a stamp per row is quadratic.
    """
    CREATE FUNCTION feed.stamp(tenant uuid) RETURNS timestamptz LANGUAGE plpgsql VOLATILE AS $$
    DECLARE
      stamp timestamptz := feed.issued_stamp(tenant);
    BEGIN
      IF stamp IS NULL THEN
        stamp := feed.tick(tenant);
        PERFORM set_config(
          'feed.slot' || (hashtext(tenant::text) & 63),
          pg_current_xact_id()::text || ' ' || tenant::text || ' '
            || to_char(stamp AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
          true);
      END IF;
      RETURN stamp;
    END $$
    """,
    # Fire the deferred triggers now and return the stamp they issued, NULL if nothing changed.
    # The clock is held from here: let the commit follow at once.
    """
    CREATE FUNCTION feed.flush(tenant uuid) RETURNS timestamptz LANGUAGE plpgsql VOLATILE AS $$
    BEGIN
      SET CONSTRAINTS ALL IMMEDIATE;
      RETURN feed.issued_stamp(tenant);
    END $$
    """,
    # A version written twice in one transaction is one version: the last state. Who wrote it
    # says the setting syncapi.actor: a user's id, or 'row' for a transaction that combines the
    # pushes of several, which leave it in the document's updated_by and change_id.
    """
    CREATE FUNCTION feed.write_version(document public.documents, dead boolean) RETURNS void
      LANGUAGE plpgsql VOLATILE AS $$
    DECLARE
      stamp timestamptz := feed.stamp(document.tenant_id);
      actor text := current_setting('syncapi.actor', true);
    BEGIN
      INSERT INTO public.feed_entries AS entry
      VALUES (document.tenant_id, document.id, stamp, stamp, dead)
      ON CONFLICT (tenant_id, id) DO UPDATE SET
        updated_at = stamp,
        is_deleted = dead,
        appeared_at = CASE WHEN entry.is_deleted AND NOT dead THEN stamp
                           ELSE entry.appeared_at END
      WHERE entry.updated_at <> stamp OR entry.is_deleted <> dead;

      INSERT INTO public.document_history VALUES (
        document.tenant_id, document.id, stamp, document.filename, document.mime_type,
        document.file_id, document.user_id, dead,
        CASE actor WHEN 'row' THEN document.updated_by ELSE nullif(actor, '')::uuid END,
        session_user,
        CASE actor WHEN 'row' THEN document.change_id END)
      ON CONFLICT (tenant_id, document_id, updated_at) DO UPDATE SET
        filename = excluded.filename, mime_type = excluded.mime_type,
        file_id = excluded.file_id, user_id = excluded.user_id,
        is_deleted = excluded.is_deleted;
    END $$
    """,
    # A change of the key is a deletion plus an insert. SECURITY DEFINER: whoever may write
    # documents may write the feed through them, and not otherwise.
    """
    CREATE FUNCTION feed.record_change() RETURNS trigger LANGUAGE plpgsql
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
    """,
    """
    CREATE FUNCTION feed.refuse_truncate() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      RAISE EXCEPTION 'TRUNCATE of % would lose deletions: use DELETE', TG_TABLE_NAME
        USING ERRCODE = 'feature_not_supported';
    END $$
    """,
    # Raise the floor and collect in one transaction, under the clock: a reader sees both or
    # neither.
    """
    CREATE FUNCTION feed.collect_tombstones(tenant uuid, keep interval, most int DEFAULT 5000)
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
    """,
    # For an operator, after work that the triggers could not see (a restored snapshot,
    # disabled triggers, session_replication_role): no cursor goes on, by its lineage, and no
    # `since`, which knows none, by the floor.
    """
    CREATE FUNCTION feed.void_cursors() RETURNS bigint LANGUAGE plpgsql AS $$
    DECLARE
      voided bigint;
    BEGIN
      PERFORM feed.tick(tenant_id) FROM public.tenant_clock;
      UPDATE public.tenant_clock SET
        generation = generation + 1, previous_lineage = NULL, forked_at = NULL,
        tombstone_floor = last;
      GET DIAGNOSTICS voided = ROW_COUNT;
      RETURN voided;
    END $$
    """,
]

TRIGGERS = [
    """
    CREATE CONSTRAINT TRIGGER documents_feed AFTER INSERT OR DELETE ON documents
      DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION feed.record_change()
    """,
    """
    CREATE CONSTRAINT TRIGGER documents_feed_update AFTER UPDATE ON documents
      DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
      WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION feed.record_change()
    """,
    """
    CREATE TRIGGER documents_no_truncate BEFORE TRUNCATE ON documents
      FOR EACH STATEMENT EXECUTE FUNCTION feed.refuse_truncate()
    """,
]


def upgrade() -> None:
    for statement in (*TABLES, *FUNCTIONS, *TRIGGERS):
        op.execute(statement)


def downgrade() -> None:
    for table in ("feed_entries", "tenant_clock", "document_history", "documents", "files"):
        op.execute(f"DROP TABLE {table} CASCADE")
    op.execute("DROP SCHEMA feed CASCADE")
