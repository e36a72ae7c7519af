"""The feed says what the rows of the documents say, and can be held against them.

- A trigger records a row as it is, not as it was when the trigger was queued: where some
  constraints are deferred and others are not, triggers do not fire in the order of the writes.
- A change of a file's row is a change of the documents that refer to it.
- ``feed.reconcile`` finds and mends what triggers could not see; ``feed.void_cursors`` calls it.
- Pushes know documents that the feed does not know.
- Documents cannot have times that no page can carry.

See docs/decisions/0016.
"""

from types import ModuleType

from alembic import context, op

revision = "tenant_0005"
down_revision = "tenant_0004"
branch_labels = None
depends_on = None

# Their lookups by a key must use its index. Where the statistics know nothing of a tenant yet, the
# planner takes all its rows for one, and is as content with any other index that begins with the
# tenant, which it then reads whole for each key. So they ask for an order that only the index of
# the key has, and may not sort.
BY_KEY = ("document(uuid, uuid)", "write_versions(uuid, uuid[])", "astray(uuid, uuid[])")

DOCUMENT = """
    CREATE FUNCTION feed.document(tenant uuid, document uuid) RETURNS public.documents
      LANGUAGE plpgsql STABLE AS $$
    DECLARE
      found public.documents;
    BEGIN
      SELECT * INTO found FROM public.documents
      WHERE (tenant_id, id) >= (tenant, document) AND (tenant_id, id) <= (tenant, document)
      ORDER BY tenant_id, id LIMIT 1;
      RETURN found;
    END $$
"""

# - A row without xmax has not been changed since the trigger was queued, and needs no look. One
#   that was locked before it was changed has an xmax too: a look at its place shows it, at
#   less cost than one by its key (a plan from when the table was small would read it whole:
#   enable_seqscan).
# - A row that is gone, or a key that is taken again, is recorded by a trigger of its own.
# - A softly deleted row without an entry is one whose tombstone was collected: its end is no news.
# - A condition with a query in it costs ten times one without, even if the query is not reached:
#   hence the nesting.
RECORD_CHANGE = """
    CREATE OR REPLACE FUNCTION feed.record_change() RETURNS trigger LANGUAGE plpgsql
      SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
    DECLARE
      document public.documents;
      is_news boolean;
      stamp timestamptz;
      actor text := current_setting('syncapi.actor', true);
    BEGIN
      IF TG_OP = 'DELETE'
         OR (TG_OP = 'UPDATE' AND (NEW.tenant_id, NEW.id) <> (OLD.tenant_id, OLD.id)) THEN
        document := feed.document(OLD.tenant_id, OLD.id);
        is_news := document.id IS NULL;
        IF is_news AND OLD.is_deleted THEN
          is_news := EXISTS (
            SELECT FROM public.feed_entries
            WHERE tenant_id = OLD.tenant_id AND id = OLD.id);
        END IF;
        IF is_news THEN
          PERFORM feed.write_version(OLD, true);
        END IF;
      END IF;
      IF TG_OP = 'DELETE' THEN
        RETURN NULL;
      END IF;
      IF NEW.xmax IS DISTINCT FROM '0'::xid THEN
        IF NOT EXISTS (SELECT FROM public.documents WHERE ctid = NEW.ctid) THEN
          document := feed.document(NEW.tenant_id, NEW.id);
          IF document.id IS NULL THEN
            RETURN NULL;
          END IF;
          NEW := document;
        END IF;
      END IF;
      stamp := feed.stamp(NEW.tenant_id);
      WITH recorded AS (
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

# The clock comes first: what others commit before it is seen, and what they commit after it has a
# later stamp. No document is locked, since lock order has documents before the clock.
RECORD_FILE_CHANGE = """
    CREATE FUNCTION feed.record_file_change() RETURNS trigger LANGUAGE plpgsql
      SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    BEGIN
      PERFORM feed.stamp(NEW.tenant_id);
      PERFORM feed.write_versions(NEW.tenant_id, ARRAY(
        SELECT id FROM public.documents
        WHERE tenant_id = NEW.tenant_id AND file_id = NEW.id));
      RETURN NULL;
    END $$
"""

FILES_FEED = """
    CREATE CONSTRAINT TRIGGER files_feed AFTER UPDATE ON files
      DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
      WHEN ((OLD.md5_hash, OLD.sha256_hash, OLD.s3_path, OLD.file_size)
            IS DISTINCT FROM (NEW.md5_hash, NEW.sha256_hash, NEW.s3_path, NEW.file_size))
      EXECUTE FUNCTION feed.record_file_change()
"""

# Of a document that is gone the last version is recorded again, as deleted.
WRITE_VERSIONS = """
    CREATE FUNCTION feed.write_versions(tenant uuid, ids uuid[]) RETURNS void
      LANGUAGE plpgsql VOLATILE AS $$
    DECLARE
      stamp timestamptz := feed.stamp(tenant);
      actor uuid := nullif(nullif(current_setting('syncapi.actor', true), ''), 'row')::uuid;
    BEGIN
      EXECUTE $sql$
        INSERT INTO public.feed_entries AS entry
        SELECT $1, asked.id, $3, $3, coalesce(document.is_deleted, true)
        FROM unnest($2) AS asked (id)
        LEFT JOIN (
          SELECT id, is_deleted FROM public.documents WHERE tenant_id = $1 AND id = ANY($2)
        ) AS document ON document.id = asked.id
        ON CONFLICT (tenant_id, id) DO UPDATE SET
          updated_at = excluded.updated_at,
          is_deleted = excluded.is_deleted,
          appeared_at = CASE WHEN entry.is_deleted AND NOT excluded.is_deleted
                             THEN excluded.updated_at ELSE entry.appeared_at END
      $sql$ USING tenant, ids, stamp;
      EXECUTE $sql$
        INSERT INTO public.document_history (
          tenant_id, document_id, updated_at, folder, filename, mime_type, file_id, user_id,
          is_deleted, changed_by, database_role)
        SELECT $1, state.id, $3, state.folder, state.filename, state.mime_type, state.file_id,
               state.user_id, state.is_deleted, $4, session_user
        FROM (
          SELECT id, folder, filename, mime_type, file_id, user_id, is_deleted
          FROM public.documents WHERE tenant_id = $1 AND id = ANY($2)
          UNION ALL
          SELECT asked.id, version.folder, version.filename, version.mime_type, version.file_id,
                 version.user_id, true
          FROM unnest($2) AS asked (id)
          CROSS JOIN LATERAL (
            SELECT * FROM public.document_history
            WHERE (tenant_id, document_id) >= ($1, asked.id)
              AND (tenant_id, document_id) <= ($1, asked.id)
            ORDER BY tenant_id DESC, document_id DESC, updated_at DESC LIMIT 1
          ) AS version
          WHERE NOT EXISTS (
            SELECT FROM public.documents WHERE tenant_id = $1 AND id = asked.id)
        ) AS state
        ON CONFLICT (tenant_id, document_id, updated_at) DO UPDATE SET
          folder = excluded.folder, filename = excluded.filename,
          mime_type = excluded.mime_type, file_id = excluded.file_id,
          user_id = excluded.user_id, is_deleted = excluded.is_deleted
      $sql$ USING tenant, ids, stamp, actor;
    END $$
"""

# Documents whose entry says otherwise than the row: it is missing, superfluous, wrong, stands
# where no reader comes, or the newest version is not what a live row holds. A transaction that is
# under way is seen with both its rows and its entries, or with neither.
ASTRAY = """
    CREATE FUNCTION feed.astray(tenant uuid, among uuid[] DEFAULT NULL) RETURNS SETOF uuid
      LANGUAGE plpgsql STABLE AS $$
    BEGIN
      RETURN QUERY EXECUTE $sql$
        SELECT coalesce(document.id, entry.id)
        FROM (
          SELECT * FROM public.documents WHERE tenant_id = $1 AND ($2 IS NULL OR id = ANY($2))
        ) AS document
        FULL JOIN (
          SELECT * FROM public.feed_entries WHERE tenant_id = $1 AND ($2 IS NULL OR id = ANY($2))
        ) AS entry ON entry.id = document.id
        LEFT JOIN LATERAL (
          SELECT * FROM public.document_history
          WHERE (tenant_id, document_id) >= ($1, document.id)
            AND (tenant_id, document_id) <= ($1, document.id)
          ORDER BY tenant_id DESC, document_id DESC, updated_at DESC LIMIT 1
        ) AS version ON NOT document.is_deleted
        WHERE entry.id IS NULL
           OR entry.is_deleted <> coalesce(document.is_deleted, true)
           OR entry.updated_at <= 'epoch'
           OR entry.updated_at > coalesce(
                (SELECT last FROM public.tenant_clock WHERE tenant_id = $1), 'epoch')
           OR NOT document.is_deleted
              AND (version.updated_at, version.folder, version.filename, version.mime_type,
                   version.file_id, version.user_id, version.is_deleted)
                  IS DISTINCT FROM
                  (entry.updated_at, document.folder, document.filename, document.mime_type,
                   document.file_id, document.user_id, false)
      $sql$ USING tenant, among;
    END $$
"""

# For an operator, after work that the triggers could not see. Writers go on while all documents
# are looked at; then, under the clock, those that seemed astray are looked at again and mended,
# with a stamp that all readers have yet to come to. Returns how many that were.
RECONCILE = """
    CREATE FUNCTION feed.reconcile(tenant uuid) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
    DECLARE
      suspects uuid[] := ARRAY(SELECT feed.astray(tenant));
    BEGIN
      IF suspects = '{}' THEN
        RETURN 0;
      END IF;
      PERFORM feed.stamp(tenant);
      suspects := ARRAY(SELECT feed.astray(tenant, suspects));
      PERFORM feed.write_versions(tenant, suspects);
      RETURN cardinality(suspects);
    END $$
"""

# For an operator, after work that took back what clients have seen, such as the restored snapshot
# of single tables: no cursor goes on, by its lineage, and no `since`, which knows none, by the
# floor.
VOID_CURSORS = """
    CREATE OR REPLACE FUNCTION feed.void_cursors() RETURNS bigint LANGUAGE plpgsql AS $$
    DECLARE
      voided bigint;
    BEGIN
      PERFORM feed.reconcile(tenant_id) FROM (
        SELECT tenant_id FROM public.tenant_clock
        UNION SELECT tenant_id FROM public.documents
        UNION SELECT tenant_id FROM public.feed_entries
        ORDER BY tenant_id) AS known;
      PERFORM feed.tick(tenant_id) FROM public.tenant_clock;
      UPDATE public.tenant_clock SET
        generation = generation + 1, previous_lineage = NULL, forked_at = NULL,
        tombstone_floor = last;
      GET DIAGNOSTICS voided = ROW_COUNT;
      RETURN voided;
    END $$
"""

FUNCTIONS = (
    DOCUMENT,
    RECORD_CHANGE,
    WRITE_VERSIONS,
    RECORD_FILE_CHANGE,
    ASTRAY,
    RECONCILE,
    VOID_CURSORS,
)

# A document without an entry has the version of the epoch, so that pushes find it and change it.
# (function, what it says, what it says from here on)
AMENDMENTS = (
    (
        "feed.known",
        "SELECT 'state', entry.id, entry.updated_at,",
        "SELECT 'state', coalesce(entry.id, document.id), coalesce(entry.updated_at, 'epoch'),",
    ),
    (
        "feed.known",
        "LEFT JOIN document ON document.id = entry.id",
        "FULL JOIN document ON document.id = entry.id",
    ),
    (
        "feed.push",
        "entry.updated_at IS DISTINCT FROM change.seen",
        "entry.updated_at IS DISTINCT FROM nullif(change.seen, 'epoch')",
    ),
)

EARLIEST, LATEST = "0001-01-01 00:00:00+00", "9999-12-31 23:59:59.999999+00"
TIMES = "documents_times_in_years_1_to_9999_check"
IN_RANGE = (
    f"created_at BETWEEN '{EARLIEST}' AND '{LATEST}' "
    f"AND deleted_at BETWEEN '{EARLIEST}' AND '{LATEST}'"
)
CLAMP = f"""
    UPDATE documents SET
      created_at = least(greatest(created_at, '{EARLIEST}'), '{LATEST}'),
      deleted_at = CASE WHEN deleted_at > '{LATEST}' THEN '{LATEST}'
                        WHEN deleted_at < '{EARLIEST}' THEN '{EARLIEST}' ELSE deleted_at END
    WHERE NOT ({IN_RANGE})
"""  # noqa: S608 - our own bounds
LOCATED = "files_s3_path_check"
IS_A_KEY = "s3_path <> '' AND s3_path !~ '(^|/)[.][.]?(/|$)'"

# While the rows are looked at, others read and write. A step that was stopped is done again. What
# no request can name has no bytes: such a file gets a key of the service's own kind.
CONSTRAINTS = (
    f"ALTER TABLE documents DROP CONSTRAINT IF EXISTS {TIMES}, "
    f"ADD CONSTRAINT {TIMES} CHECK ({IN_RANGE}) NOT VALID",
    f"ALTER TABLE files DROP CONSTRAINT IF EXISTS {LOCATED}, "
    f"ADD CONSTRAINT {LOCATED} CHECK ({IS_A_KEY}) NOT VALID",
    CLAMP,
    f"UPDATE files SET s3_path = concat(tenant_id, '/', id) WHERE NOT ({IS_A_KEY})",  # noqa: S608 - our own rule
    f"ALTER TABLE documents VALIDATE CONSTRAINT {TIMES}",
    f"ALTER TABLE files VALIDATE CONSTRAINT {LOCATED}",
)


def amend(function: str, old: str, new: str) -> None:
    """Put `new` in the place of `old` in a function, which must have it once."""
    op.execute(f"""
        DO $amend$
        DECLARE
          parts text[] := string_to_array(
            pg_get_functiondef('{function}'::regproc), $old${old}$old$);
        BEGIN
          ASSERT cardinality(parts) = 2, '{function} is not as expected';
          EXECUTE parts[1] || $new${new}$new$ || parts[2];
        END $amend$
    """)


def without_statement_timeout(statements: tuple[str, ...]) -> None:
    with op.get_context().autocommit_block():
        op.execute("SET statement_timeout = 0")
        for statement in statements:
            op.execute(statement)
        op.execute("SET statement_timeout = '5min'")


def earlier(revision: str) -> ModuleType:
    return context.script.get_revision(revision).module


def upgrade() -> None:
    without_statement_timeout(CONSTRAINTS)
    for statement in (*FUNCTIONS, FILES_FEED):
        op.execute(statement)
    for function in BY_KEY:
        for setting in ("enable_sort", "enable_incremental_sort"):
            op.execute(f"ALTER FUNCTION feed.{function} SET {setting} = off")
    for function, old, new in AMENDMENTS:
        amend(function, old, new)


def downgrade() -> None:
    for function, old, new in AMENDMENTS:
        amend(function, new, old)
    op.execute("DROP TRIGGER files_feed ON files")
    op.execute(earlier("tenant_0004").RECORD_CHANGE)
    op.execute("DROP FUNCTION feed.void_cursors()")
    op.execute(earlier("tenant_0001").FUNCTIONS[-1])
    for function in (
        "reconcile(uuid)",
        "astray(uuid, uuid[])",
        "record_file_change()",
        "write_versions(uuid, uuid[])",
        "document(uuid, uuid)",
    ):
        op.execute(f"DROP FUNCTION feed.{function}")
    op.execute(f"ALTER TABLE documents DROP CONSTRAINT {TIMES}")
    op.execute(f"ALTER TABLE files DROP CONSTRAINT {LOCATED}")
