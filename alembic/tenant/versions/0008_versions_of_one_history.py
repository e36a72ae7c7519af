"""A version names one write, whatever was lost, and the server says which versions it knows.

Clocks that are ahead go on a microsecond at a time. Two histories that parted while theirs was
ahead gave out the same stamps, and a version of the lost one was taken for one of the present.
Where a history begins the clock now leaps, to where no other history of the feed has been. See
docs/decisions/0017 and 0020.
"""

from alembic import op

revision = "tenant_0008"
down_revision = "tenant_0007"
branch_labels = None
depends_on = None

# Concurrently, so that pushes go on meanwhile; an attempt that failed has left an invalid index.
_INDEX = [
    "DROP INDEX CONCURRENTLY IF EXISTS collected_changes_document_idx",
    "CREATE INDEX CONCURRENTLY collected_changes_document_idx "
    "ON collected_changes (tenant_id, document_id, applied_at)",
]

# More than an hour of a thousand commits a second, each a microsecond, and more than two servers'
# clocks differ. At random, since siblings leap from the same place.
_LEAP = """
    CREATE FUNCTION feed.leap() RETURNS interval LANGUAGE sql VOLATILE
      AS $$ SELECT interval '10 s' * (1 + random()) $$
"""

_FORK = """
    CREATE OR REPLACE FUNCTION feed.fork(tenant uuid) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
    DECLARE
      here text := feed.place();
      clock public.tenant_clock;
    BEGIN
      SELECT * INTO clock FROM public.tenant_clock WHERE tenant_id = tenant FOR NO KEY UPDATE;
      IF NOT FOUND THEN
        RAISE EXCEPTION 'the tenant % has no feed in this database', tenant USING
          ERRCODE = 'SYF01',
          HINT = 'Is it the database that the tenant''s row names? `syncapi tenant create` opens '
            'the feed of a new tenant, `syncapi feed open` that of an old one.';
      END IF;
      IF clock.place = here THEN RETURN; END IF;  -- somebody else was first
      INSERT INTO public.feed_forks AS known VALUES (tenant, clock.lineage, clock.last)
      ON CONFLICT (tenant_id, lineage) DO UPDATE  -- the clock alone was put back to before a fork
      SET forked_at = least(known.forked_at, excluded.forked_at);
      UPDATE public.tenant_clock SET
        lineage = feed.new_lineage(), place = here,
        last = greatest(last, feed.wall_clock()) + feed.leap()
      WHERE tenant_id = tenant;
      DELETE FROM public.feed_forks WHERE tenant_id = tenant AND forked_at < (
        SELECT forked_at FROM public.feed_forks WHERE tenant_id = tenant
        ORDER BY forked_at DESC OFFSET 9999 LIMIT 1);
    END $$
"""

_VOID = """
    CREATE OR REPLACE FUNCTION feed.void(tenant uuid, OUT floor timestamptz, OUT mended bigint)
      LANGUAGE plpgsql VOLATILE AS $$
    BEGIN
      mended := feed.reconcile(tenant);
      floor := greatest(feed.tick(tenant), feed.wall_clock() + interval '1 hour') + feed.leap();
      UPDATE public.tenant_clock SET
        lineage = feed.new_lineage(), last = floor, tombstone_floor = floor, voided_at = floor,
        opened_at = timestamptz 'epoch' + interval '1 microsecond'
      WHERE tenant_id = tenant;
      DELETE FROM public.feed_forks WHERE tenant_id = tenant;
    END $$
"""

_FORMER = [
    """
    CREATE OR REPLACE FUNCTION feed.fork(tenant uuid) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
    DECLARE
      here text := feed.place();
      clock public.tenant_clock;
    BEGIN
      SELECT * INTO clock FROM public.tenant_clock WHERE tenant_id = tenant FOR NO KEY UPDATE;
      IF NOT FOUND THEN
        RAISE EXCEPTION 'the tenant % has no feed in this database', tenant USING
          ERRCODE = 'SYF01',
          HINT = 'Is it the database that the tenant''s row names? `syncapi tenant create` opens '
            'the feed of a new tenant, `syncapi feed open` that of an old one.';
      END IF;
      IF clock.place = here THEN RETURN; END IF;  -- somebody else was first
      INSERT INTO public.feed_forks AS known VALUES (tenant, clock.lineage, clock.last)
      ON CONFLICT (tenant_id, lineage) DO UPDATE  -- the clock alone was put back to before a fork
      SET forked_at = least(known.forked_at, excluded.forked_at);
      UPDATE public.tenant_clock SET lineage = feed.new_lineage(), place = here
      WHERE tenant_id = tenant;
      DELETE FROM public.feed_forks WHERE tenant_id = tenant AND forked_at < (
        SELECT forked_at FROM public.feed_forks WHERE tenant_id = tenant
        ORDER BY forked_at DESC OFFSET 9999 LIMIT 1);
    END $$
    """,
    """
    CREATE OR REPLACE FUNCTION feed.void(tenant uuid, OUT floor timestamptz, OUT mended bigint)
      LANGUAGE plpgsql VOLATILE AS $$
    BEGIN
      mended := feed.reconcile(tenant);
      floor := greatest(feed.tick(tenant), feed.wall_clock() + interval '1 hour');
      UPDATE public.tenant_clock SET
        lineage = feed.new_lineage(), last = floor, tombstone_floor = floor, voided_at = floor,
        opened_at = timestamptz 'epoch' + interval '1 microsecond'
      WHERE tenant_id = tenant;
      DELETE FROM public.feed_forks WHERE tenant_id = tenant;
    END $$
    """,
    "DROP FUNCTION feed.leap()",
    "DROP INDEX collected_changes_document_idx",
]


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = 0")
        op.execute("SET statement_timeout = 0")
        for statement in _INDEX:
            op.execute(statement)
        op.execute("SET lock_timeout = '5s'")
        op.execute("SET statement_timeout = '5min'")
    for statement in (_LEAP, _FORK, _VOID):
        op.execute(statement)


def downgrade() -> None:
    for statement in _FORMER:
        op.execute(statement)
