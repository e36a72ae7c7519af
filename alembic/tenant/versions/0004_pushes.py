"""Pushes are written by one statement, and the feed's trigger costs less.

``feed.push`` writes what was decided upon from a read that locked nothing: it locks, sees that
nothing has changed since, and writes; or it fails, and leaves nothing. So a push is one statement
that reads and one that writes and commits. See docs/decisions/0012.
"""

from alembic import op

revision = "tenant_0004"
down_revision = "tenant_0003"
branch_labels = None
depends_on = None

# Lock order as of every writer: documents in the order of their ids, then files (by the foreign
# key), then the clock. A function sees with each statement what was committed before it: what is
# held against the bases is what the locks hold.
PUSH = """
    CREATE FUNCTION feed.push(
      tenant uuid, ids uuid[], bases timestamptz[], change_ids uuid[], authors uuid[],
      folders text[], filenames text[], mime_types text[], file_ids uuid[], deletions boolean[],
      OUT stamp timestamptz, OUT written_at timestamptz)
      LANGUAGE plpgsql VOLATILE AS $$
    DECLARE
      known int := cardinality(array_remove(bases, NULL));
      written int;
    BEGIN
      PERFORM set_config('syncapi.actor', 'row', true);
      IF known > 0 THEN
        PERFORM FROM public.documents
        WHERE tenant_id = tenant AND id = ANY(ids) ORDER BY id FOR UPDATE;
        PERFORM FROM unnest(ids, bases) AS change (id, base)
        LEFT JOIN public.feed_entries AS entry
          ON entry.tenant_id = tenant AND entry.id = change.id
        WHERE change.base IS NOT NULL AND entry.updated_at IS DISTINCT FROM change.base;
        IF FOUND THEN
          RAISE EXCEPTION 'a document has changed since it was read' USING ERRCODE = '40001';
        END IF;
        UPDATE public.documents AS document SET
          folder = change.folder, filename = change.filename, mime_type = change.mime_type,
          file_id = change.file_id, is_deleted = change.deletion,
          deleted_at = CASE WHEN change.deletion THEN now() END,
          deleted_by = CASE WHEN change.deletion THEN change.author END,
          updated_at = now(), updated_by = change.author, change_id = change.change_id
        FROM unnest(ids, bases, change_ids, authors, folders, filenames, mime_types, file_ids,
                    deletions)
          AS change (id, base, change_id, author, folder, filename, mime_type, file_id, deletion)
        WHERE document.tenant_id = tenant AND document.id = change.id
          AND change.base IS NOT NULL;
        GET DIAGNOSTICS written = ROW_COUNT;
        IF written <> known THEN
          RAISE EXCEPTION 'a document was deleted since it was read' USING ERRCODE = '40001';
        END IF;
      END IF;
      IF known < cardinality(ids) THEN
        INSERT INTO public.documents (
          tenant_id, id, folder, filename, mime_type, file_id, user_id, created_at, created_by,
          updated_by, change_id)
        SELECT tenant, id, folder, filename, mime_type, file_id, author, now(), author, author,
               change_id
        FROM unnest(ids, bases, change_ids, authors, folders, filenames, mime_types, file_ids)
          AS change (id, base, change_id, author, folder, filename, mime_type, file_id)
        WHERE base IS NULL ORDER BY id
        ON CONFLICT DO NOTHING;
        GET DIAGNOSTICS written = ROW_COUNT;
        IF written < cardinality(ids) - known THEN
          RAISE EXCEPTION 'a document appeared since it was read' USING ERRCODE = '40001';
        END IF;
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
    for statement in (PUSH, STAMP, RECORD_CHANGE):
        op.execute(statement)


def downgrade() -> None:
    for statement in (RECORD_CHANGE_BY_CALLS, STAMP_BY_CALLS):
        op.execute(statement)
    op.execute(
        "DROP FUNCTION feed.push(uuid, uuid[], timestamptz[], uuid[], uuid[], text[], text[], "
        "text[], uuid[], boolean[])"
    )
