"""Pushes are read by one statement and written by one, and the feed's trigger costs less.

``feed.known`` reads what pushes are judged by, and locks nothing. ``feed.push`` writes what was
decided upon: it locks, sees that nothing has changed since, and writes; or it fails, and leaves
nothing. See docs/decisions/0012.

EXECUTE has what looks rows up planned anew each time. A plan that was kept from when the tables
were small would read them whole, or once for each row, when they have grown. Each table is read by
one condition on all ids, and joined afterwards: where the statistics know nothing of a tenant yet,
the planner takes all its rows for one, and would look for each row among all of them.
"""

from alembic import op

revision = "tenant_0004"
down_revision = "tenant_0003"
branch_labels = None
depends_on = None

# One statement, so one snapshot: of documents, of what was applied, of files, and of the versions
# that changes were made from, where those are not the documents' own. Each row says what it is.
# `reference` is the file of a document or version, and the document of a change.
KNOWN = """
    CREATE FUNCTION feed.known(
      tenant uuid, ids uuid[], change_ids uuid[], file_ids uuid[],
      base_ids uuid[], base_versions timestamptz[])
      RETURNS TABLE (
        kind text, id uuid, version timestamptz, reference uuid, folder varchar,
        filename varchar, mime_type varchar, is_deleted boolean, user_id text, created_by text,
        deleted_by text, created_at timestamp, deleted_at timestamp, md5_hash bpchar,
        sha256_hash bpchar, file_size bigint)
      LANGUAGE plpgsql STABLE ROWS 500 AS $$
    DECLARE
      known text := $sql$
        WITH entry AS MATERIALIZED (
          SELECT id, updated_at FROM public.feed_entries
          WHERE tenant_id = $1 AND id = ANY($2)),
        document AS MATERIALIZED (
          SELECT * FROM public.documents WHERE tenant_id = $1 AND id = ANY($2)),
        file AS MATERIALIZED (
          SELECT id, md5_hash, sha256_hash, file_size FROM public.files
          WHERE tenant_id = $1 AND id = ANY($4 || ARRAY(SELECT file_id FROM document)))
        SELECT 'state', entry.id, entry.updated_at, document.file_id, document.folder,
               document.filename, document.mime_type, document.is_deleted,
               document.user_id::text, document.created_by::text, document.deleted_by::text,
               document.created_at AT TIME ZONE 'UTC', document.deleted_at AT TIME ZONE 'UTC',
               file.md5_hash, file.sha256_hash, file.file_size
        FROM entry
        LEFT JOIN document ON document.id = entry.id
        LEFT JOIN file ON file.id = document.file_id
        UNION ALL
        SELECT 'change', change_id, NULL, document_id, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
               NULL, NULL, NULL, NULL, NULL
        FROM public.document_history WHERE tenant_id = $1 AND change_id = ANY($3)
        UNION ALL
        SELECT 'change', change_id, NULL, document_id, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
               NULL, NULL, NULL, NULL, NULL
        FROM public.collected_changes WHERE tenant_id = $1 AND change_id = ANY($3)
        UNION ALL
        SELECT 'file', id, NULL, id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
               md5_hash, sha256_hash, file_size
        FROM file WHERE id = ANY($4)
      $sql$;
    BEGIN
      IF cardinality(base_ids) > 0 THEN
        known := known || $sql$
          UNION ALL
          SELECT 'base', asked.id, asked.version, history.file_id, history.folder,
                 history.filename, history.mime_type, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
                 NULL, NULL
          FROM unnest($5, $6) AS asked (id, version)
          JOIN entry ON entry.id = asked.id AND entry.updated_at <> asked.version
          JOIN (
            SELECT * FROM public.document_history
            WHERE tenant_id = $1 AND document_id = ANY($5) AND updated_at = ANY($6) OFFSET 0
          ) AS history ON history.document_id = asked.id AND history.updated_at = asked.version
        $sql$;
      END IF;
      RETURN QUERY EXECUTE known
        USING tenant, ids, change_ids, file_ids, base_ids, base_versions;
    END $$
"""

# Lock order as of every writer: documents in the order of their ids, then files (by the foreign
# key), then the clock. The versions are compared last of all, by a statement of its own, which
# sees what was committed before it: no document that is locked or written by then can move on,
# nor can one be made and erased in between without its tombstone being seen.
PUSH = """
    CREATE FUNCTION feed.push(
      tenant uuid, ids uuid[], seen timestamptz[], change_ids uuid[], authors uuid[],
      folders text[], filenames text[], mime_types text[], file_ids uuid[], deletions boolean[],
      OUT stamp timestamptz, OUT written_at timestamptz)
      LANGUAGE plpgsql VOLATILE AS $$
    DECLARE
      changed int := 0;
      added int := 0;
      raced int;
    BEGIN
      PERFORM set_config('syncapi.actor', 'row', true);
      IF cardinality(array_remove(seen, NULL)) > 0 THEN
        EXECUTE
          'SELECT FROM public.documents WHERE tenant_id = $1 AND id = ANY($2) '
          'ORDER BY id FOR UPDATE' USING tenant, ids;
        EXECUTE $sql$
          UPDATE public.documents AS document SET
            folder = change.folder, filename = change.filename, mime_type = change.mime_type,
            file_id = change.file_id, is_deleted = change.deletion,
            deleted_at = CASE WHEN change.deletion THEN now() END,
            deleted_by = CASE WHEN change.deletion THEN change.author END,
            updated_at = now(), updated_by = change.author, change_id = change.change_id
          FROM unnest($2, $3, $4, $5, $6, $7, $8, $9)
            AS change (id, change_id, author, folder, filename, mime_type, file_id, deletion)
          WHERE document.tenant_id = $1 AND document.id = ANY($2) AND document.id = change.id
        $sql$ USING tenant, ids, change_ids, authors, folders, filenames, mime_types, file_ids,
                    deletions;
        GET DIAGNOSTICS changed = ROW_COUNT;
      END IF;
      IF changed < cardinality(ids) THEN
        INSERT INTO public.documents (
          tenant_id, id, folder, filename, mime_type, file_id, user_id, created_at, created_by,
          updated_by, change_id)
        SELECT tenant, id, folder, filename, mime_type, file_id, author, now(), author, author,
               change_id
        FROM unnest(ids, change_ids, authors, folders, filenames, mime_types, file_ids)
          AS change (id, change_id, author, folder, filename, mime_type, file_id)
        ORDER BY id
        ON CONFLICT DO NOTHING;
        GET DIAGNOSTICS added = ROW_COUNT;
      END IF;
      EXECUTE $sql$
        WITH entry AS MATERIALIZED (
          SELECT id, updated_at FROM public.feed_entries WHERE tenant_id = $1 AND id = ANY($2))
        SELECT count(*) FROM unnest($2, $3) AS change (id, seen)
        LEFT JOIN entry ON entry.id = change.id
        WHERE entry.updated_at IS DISTINCT FROM change.seen
      $sql$ INTO raced USING tenant, ids, seen;
      IF raced > 0 OR changed + added <> cardinality(ids) THEN
        RAISE EXCEPTION 'a document has changed since it was read' USING ERRCODE = '40001';
      END IF;
      stamp := feed.flush(tenant);
      written_at := now();
    END $$
"""

# As in 0001, by one call less.
STAMP = """
    CREATE OR REPLACE FUNCTION feed.stamp(tenant uuid) RETURNS timestamptz
      LANGUAGE plpgsql VOLATILE AS $$
    DECLARE
      slot text := 'feed.slot' || (hashtext(tenant::text) & 63);
      owner text := pg_current_xact_id()::text || ' ' || tenant::text || ' ';
      issued text := current_setting(slot, true);
      stamp timestamptz;
    BEGIN
      IF starts_with(issued, owner) THEN
        RETURN substr(issued, length(owner) + 1)::timestamptz;
      END IF;
      stamp := feed.tick(tenant);
      PERFORM set_config(
        slot, owner || to_char(stamp AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), true);
      RETURN stamp;
    END $$
"""

# As in 0002 and 0003, with the two writes of a version in one statement and by one call less.
RECORD_CHANGE = """
    CREATE OR REPLACE FUNCTION feed.record_change() RETURNS trigger LANGUAGE plpgsql
      SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    DECLARE
      stamp timestamptz;
      actor text := current_setting('syncapi.actor', true);
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
      IF TG_OP = 'DELETE' THEN
        RETURN NULL;
      END IF;
      stamp := feed.stamp(NEW.tenant_id);
      WITH told AS (
        INSERT INTO public.feed_entries AS entry
        VALUES (NEW.tenant_id, NEW.id, stamp, stamp, NEW.is_deleted)
        ON CONFLICT (tenant_id, id) DO UPDATE SET
          updated_at = excluded.updated_at,
          is_deleted = excluded.is_deleted,
          appeared_at = CASE WHEN entry.is_deleted AND NOT excluded.is_deleted
                             THEN excluded.updated_at ELSE entry.appeared_at END
        WHERE entry.updated_at <> excluded.updated_at
           OR entry.is_deleted <> excluded.is_deleted)
      INSERT INTO public.document_history (
        tenant_id, document_id, updated_at, folder, filename, mime_type, file_id, user_id,
        is_deleted, changed_by, database_role, change_id)
      VALUES (
        NEW.tenant_id, NEW.id, stamp, NEW.folder, NEW.filename, NEW.mime_type, NEW.file_id,
        NEW.user_id, NEW.is_deleted,
        CASE actor WHEN 'row' THEN NEW.updated_by ELSE nullif(actor, '')::uuid END,
        session_user,
        CASE actor WHEN 'row' THEN NEW.change_id END)
      ON CONFLICT (tenant_id, document_id, updated_at) DO UPDATE SET
        folder = excluded.folder, filename = excluded.filename,
        mime_type = excluded.mime_type, file_id = excluded.file_id,
        user_id = excluded.user_id, is_deleted = excluded.is_deleted;
      RETURN NULL;
    END $$
"""

RECORD_CHANGE_BY_CALLS = """
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

STAMP_BY_CALLS = """
    CREATE OR REPLACE FUNCTION feed.stamp(tenant uuid) RETURNS timestamptz
      LANGUAGE plpgsql VOLATILE AS $$
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
"""


def upgrade() -> None:
    for statement in (KNOWN, PUSH, STAMP, RECORD_CHANGE):
        op.execute(statement)


def downgrade() -> None:
    for statement in (RECORD_CHANGE_BY_CALLS, STAMP_BY_CALLS):
        op.execute(statement)
    op.execute("DROP FUNCTION feed.known(uuid, uuid[], uuid[], uuid[], uuid[], timestamptz[])")
    op.execute(
        "DROP FUNCTION feed.push(uuid, uuid[], timestamptz[], uuid[], uuid[], text[], text[], "
        "text[], uuid[], boolean[])"
    )
