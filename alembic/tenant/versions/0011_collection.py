"""What the collector goes by: when a push left the history, and how a feed came to where it is.

- The ledger of pushes is kept from the collection of their versions on, not from the push. A
  version that was pushed long ago leaves the history when its document is deleted, perhaps; from
  then on the ledger alone knows the push.
- A fork says when it was noticed: what came between its stamp and then may be another history's.
- Files that versions and deletions set free are kept for as long as those that an answer named:
  where the database is a copy, another one may need them.
- A void keeps the forks, for the collector alone, and is one: so the collector sees whether the
  database that was voided had all that it knows of. Where the service voids a feed whose tables
  were put back, it keeps none, and the collector waits for an operator.

See docs/decisions/0017 and 0020.
"""

from types import ModuleType

from alembic import context, op

revision = "tenant_0011"
down_revision = "tenant_0010"
branch_labels = None
depends_on = None

# When a row of before was collected, or a fork noticed, is not known: it counts as now. A
# migration that was stopped is done again.
_COLUMNS = [
    """
    ALTER TABLE collected_changes
      ADD COLUMN IF NOT EXISTS collected_at timestamptz NOT NULL DEFAULT now()
    """,
    """
    ALTER TABLE feed_forks
      ADD COLUMN IF NOT EXISTS left_at timestamptz NOT NULL DEFAULT now(),
      ADD COLUMN IF NOT EXISTS is_void boolean NOT NULL DEFAULT false
    """,
    """
    COMMENT ON TABLE feed_forks IS
      'Histories that were left for another one: up to forked_at they agree with the present. '
      'left_at: when that was noticed; is_void: no cursor goes on from it.'
    """,
]
_INDEX = [
    "DROP INDEX CONCURRENTLY IF EXISTS collected_changes_collected_idx",
    "CREATE INDEX CONCURRENTLY collected_changes_collected_idx "
    "ON collected_changes (tenant_id, collected_at)",
    "DROP INDEX CONCURRENTLY IF EXISTS collected_changes_applied_idx",
]

# A row whose hashes are none takes no update.
_RENEW_FILES = """
    CREATE OR REPLACE FUNCTION feed.renew_files(tenant uuid, ids uuid[]) RETURNS void
      LANGUAGE sql VOLATILE AS $$
      UPDATE public.files SET updated_at = clock_timestamp()
      WHERE tenant_id = tenant
        AND id IN (SELECT id FROM public.files WHERE tenant_id = tenant AND id = ANY(ids)
                   ORDER BY id FOR NO KEY UPDATE)
        AND md5_hash ~ '^[0-9a-f]{32}$' AND sha256_hash ~ '^[0-9a-f]{64}$'
    $$
"""

# Under the clock. What is astray is looked for before, and again here.
_MEND = """
    CREATE OR REPLACE FUNCTION feed.mend(tenant uuid, suspects uuid[]) RETURNS bigint
      LANGUAGE plpgsql VOLATILE AS $$
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

_AMENDMENTS = (
    (
        "feed.reconcile",
        """DECLARE
      suspects uuid[] := ARRAY(SELECT feed.astray(tenant));
    BEGIN
      IF suspects = '{}' THEN
        RETURN 0;
      END IF;
      PERFORM feed.stamp(tenant);
      suspects := ARRAY(SELECT feed.astray(tenant, suspects));
      PERFORM feed.write_versions(tenant, suspects);
      RETURN cardinality(suspects);""",
        """BEGIN
      RETURN feed.mend(tenant, ARRAY(SELECT feed.astray(tenant)));""",
    ),
    # Before the clock is taken: who was promised a file has its row, and waits for the clock.
    (
        "feed.collect_tombstones",
        "WHERE tenant_id = tenant AND id = ANY(old) ORDER BY id FOR UPDATE;",
        """WHERE tenant_id = tenant AND id = ANY(old) ORDER BY id FOR UPDATE;
      PERFORM feed.renew_files(tenant, ARRAY(
        SELECT file_id FROM public.documents
        WHERE tenant_id = tenant AND id = ANY(old) AND is_deleted));""",
    ),
    (
        "feed.fork",
        "SET forked_at = least(known.forked_at, excluded.forked_at)",
        "SET forked_at = least(known.forked_at, excluded.forked_at), left_at = excluded.left_at",
    ),
    # The time before the void's own stamps, and after everybody else's: had it more than the
    # collector saw, or less?
    (
        "feed.void",
        """BEGIN
      mended := feed.reconcile(tenant);""",
        """DECLARE
      suspects uuid[] := ARRAY(SELECT feed.astray(tenant));
      before public.tenant_clock;
    BEGIN
      SELECT * INTO before FROM public.tenant_clock WHERE tenant_id = tenant FOR NO KEY UPDATE;
      mended := feed.mend(tenant, suspects);""",
    ),
    (
        "feed.void",
        "DELETE FROM public.feed_forks WHERE tenant_id = tenant;",
        """UPDATE public.feed_forks SET is_void = true WHERE tenant_id = tenant AND NOT is_void;
      INSERT INTO public.feed_forks AS known (tenant_id, lineage, forked_at, is_void)
      VALUES (tenant, before.lineage, before.last, true)
      ON CONFLICT (tenant_id, lineage) DO UPDATE SET
        forked_at = least(known.forked_at, excluded.forked_at), left_at = excluded.left_at;""",
    ),
    (
        "feed.void_put_back",
        "PERFORM feed.void(tenant);",
        """PERFORM feed.void(tenant);
      DELETE FROM public.feed_forks WHERE tenant_id = tenant;""",
    ),
)

_DOWN = [
    "DROP FUNCTION feed.mend(uuid, uuid[])",
    "DROP FUNCTION feed.renew_files(uuid, uuid[])",
    "DELETE FROM feed_forks WHERE is_void",
    "ALTER TABLE feed_forks DROP left_at, DROP is_void",
    """
    COMMENT ON TABLE feed_forks IS
      'Histories that were left for another one: up to forked_at they agree with the present.'
    """,
    "CREATE INDEX collected_changes_applied_idx ON collected_changes (tenant_id, applied_at)",
    "ALTER TABLE collected_changes DROP collected_at",
]


def _earlier(revision: str) -> ModuleType:
    """A migration of before, whose helpers serve here too."""
    return context.script.get_revision(revision).module


def upgrade() -> None:
    for statement in _COLUMNS:
        op.execute(statement)
    _earlier("tenant_0002").concurrently(_INDEX)
    op.execute(_RENEW_FILES)
    op.execute(_MEND)
    for function, old, new in _AMENDMENTS:
        _earlier("tenant_0005").amend(function, old, new)


def downgrade() -> None:
    for function, old, new in reversed(_AMENDMENTS):
        _earlier("tenant_0005").amend(function, new, old)
    for statement in _DOWN:
        op.execute(statement)
