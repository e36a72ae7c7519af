"""Documents stand in folders: an additive column, so that older writers go on unchanged.

Its default is a constant, which PostgreSQL keeps in the catalogue: no table is rewritten.
"""

from alembic import op

revision = "tenant_0003"
down_revision = "tenant_0002"
branch_labels = None
depends_on = None

TABLES = ("documents", "document_history")

# As in 0001, and the folder with it.
WRITE_VERSION = """
    CREATE OR REPLACE FUNCTION feed.write_version(document public.documents, dead boolean)
      RETURNS void LANGUAGE plpgsql VOLATILE AS $$
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

      INSERT INTO public.document_history (
        tenant_id, document_id, updated_at, folder, filename, mime_type, file_id, user_id,
        is_deleted, changed_by, database_role, change_id)
      VALUES (
        document.tenant_id, document.id, stamp, document.folder, document.filename,
        document.mime_type, document.file_id, document.user_id, dead,
        CASE actor WHEN 'row' THEN document.updated_by ELSE nullif(actor, '')::uuid END,
        session_user,
        CASE actor WHEN 'row' THEN document.change_id END)
      ON CONFLICT (tenant_id, document_id, updated_at) DO UPDATE SET
        folder = excluded.folder, filename = excluded.filename,
        mime_type = excluded.mime_type, file_id = excluded.file_id,
        user_id = excluded.user_id, is_deleted = excluded.is_deleted;
    END $$
"""

WRITE_VERSION_WITHOUT_FOLDER = """
    CREATE OR REPLACE FUNCTION feed.write_version(document public.documents, dead boolean)
      RETURNS void LANGUAGE plpgsql VOLATILE AS $$
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
"""


def upgrade() -> None:
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} ADD COLUMN folder varchar(1000) NOT NULL DEFAULT ''")
    op.execute(WRITE_VERSION)


def downgrade() -> None:
    op.execute(WRITE_VERSION_WITHOUT_FOLDER)
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} DROP COLUMN folder")
