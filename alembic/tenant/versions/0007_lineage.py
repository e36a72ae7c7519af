"""A history that nothing else can have, forks that are remembered, and clocks that are opened.

``lineage`` was worked out from where the clock was; two different histories could come to the same
one. It is drawn at random now, each time the clock ticks in another place than before, and a start
of the server is another place. See docs/decisions/0017.
"""

from alembic import context, op

revision = "tenant_0007"
down_revision = "tenant_0006"
branch_labels = None
depends_on = None

# What cursors of before carry is a digest of the text: it becomes the lineage, so they go on.
TABLES = [
    """
    CREATE TABLE feed_forks (
      tenant_id uuid NOT NULL,
      lineage bytea NOT NULL,
      forked_at timestamptz NOT NULL,
      CONSTRAINT feed_forks_pkey PRIMARY KEY (tenant_id, lineage))
    """,
    """
    INSERT INTO feed_forks
    SELECT tenant_id, substr(sha256(convert_to(previous_lineage, 'UTF8')), 1, 8), forked_at
    FROM tenant_clock WHERE previous_lineage IS NOT NULL
    """,
    """
    ALTER TABLE tenant_clock
      ALTER lineage TYPE bytea
        USING substr(sha256(convert_to(lineage || '#' || generation, 'UTF8')), 1, 8),
      DROP generation, DROP previous_lineage, DROP forked_at,
      ADD place text NOT NULL DEFAULT '',
      ADD feed_id uuid NOT NULL DEFAULT gen_random_uuid(),
      ADD voided_at timestamptz NOT NULL DEFAULT 'epoch'
    """,
    "ALTER TABLE tenant_clock ALTER place DROP DEFAULT, ALTER feed_id DROP DEFAULT",
    """
    COMMENT ON TABLE tenant_clock IS
      'One row a tenant. last: the highest committed stamp; opened_at: no stamp is older; '
      'lineage: the history that the stamps belong to; place: where the clock ticked last; '
      'feed_id: which feed this is, as the control database knows it; tombstone_floor: the '
      'highest stamp of a collected tombstone; voided_at: no position from before it goes on.'
    """,
    """
    COMMENT ON TABLE feed_forks IS
      'Histories that were left for another one: up to forked_at they agree with the present.'
    """,
]

LINEAGE = [
    "DROP FUNCTION feed.lineage()",
    # Eight bytes at random, as cursors carry them; never all zero, by the version of the uuid.
    """
    CREATE FUNCTION feed.new_lineage() RETURNS bytea LANGUAGE sql VOLATILE
      AS $$ SELECT substr(uuid_send(gen_random_uuid()), 1, 8) $$
    """,
    # Cluster, timeline, database, table, and the start of the server: a copy that was put back
    # without recovery differs from its original in the last alone. None of them changes while a
    # backend that writes lives, so a session works it out once.
    """
    CREATE FUNCTION feed.place() RETURNS text LANGUAGE plpgsql VOLATILE AS $$
    DECLARE
      known text := current_setting('feed.place', true);
    BEGIN
      IF known <> '' THEN RETURN known; END IF;
      known := (SELECT system_identifier FROM pg_control_system())
        || '/' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8)
        || '/' || (SELECT oid FROM pg_database WHERE datname = current_database())
        || '/' || 'public.tenant_clock'::regclass::oid
        || '/' || extract(epoch FROM pg_postmaster_start_time());
      PERFORM set_config('feed.place', known, false);
      RETURN known;
    END $$
    """,
    # Under a lineage that was drawn here no stamp can have been given elsewhere. What the last
    # one had up to now is the present's too. The newest 10,000 forks are kept.
    """
    CREATE FUNCTION feed.fork(tenant uuid) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
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
    # Take the tenant's clock until commit and issue the next stamp, also if the wall clock
    # stepped back. An asynchronous commit is made a synchronous one: else clients see what a
    # crash may take back, and have to begin again.
    """
    CREATE OR REPLACE FUNCTION feed.tick(tenant uuid) RETURNS timestamptz
      LANGUAGE plpgsql VOLATILE AS $$
    DECLARE
      here text := feed.place();
      stamp timestamptz;
    BEGIN
      IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'local', true);
      END IF;
      UPDATE public.tenant_clock AS clock
      SET last = greatest(feed.wall_clock(), clock.last + interval '1 microsecond')
      WHERE tenant_id = tenant AND place = here
      RETURNING last INTO stamp;
      IF FOUND THEN RETURN stamp; END IF;
      PERFORM feed.fork(tenant);
      RETURN feed.tick(tenant);
    END $$
    """,
    # Open a tenant's feed in this database, unless it is open. Returns which feed it is.
    """
    CREATE FUNCTION feed.open(tenant uuid, feed uuid) RETURNS uuid LANGUAGE plpgsql VOLATILE AS $$
    BEGIN
      INSERT INTO public.tenant_clock (tenant_id, feed_id, last, opened_at, lineage, place)
      SELECT tenant, feed, wall, wall, feed.new_lineage(), feed.place()
      FROM feed.wall_clock() AS wall
      ON CONFLICT (tenant_id) DO NOTHING;
      RETURN (SELECT feed_id FROM public.tenant_clock WHERE tenant_id = tenant);
    END $$
    """,
]

# For an operator, after a restore, and after work that the triggers could not see. Returns the
# feed's time from here on, and how many entries said otherwise than their documents. No cursor
# goes on, by its lineage, and no `since`, which knows none, by the floor: an hour ahead, so that
# it is past whatever a clock that was ahead of this one gave out. `opened_at` just after the
# epoch: from now on only `since=1970-01-01T00:00:00Z` says that a client holds nothing.
VOID = [
    """
    CREATE FUNCTION feed.void(tenant uuid, OUT floor timestamptz, OUT mended bigint)
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
    # Of one whose clock was seen at a later time of this lineage, if it is still behind that and
    # no fork will part it from that. For the service, which remembers.
    """
    CREATE FUNCTION feed.void_put_back(tenant uuid, seen_lineage bytea, seen timestamptz)
      RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
    BEGIN
      PERFORM FROM public.tenant_clock
      WHERE tenant_id = tenant AND place = feed.place() AND lineage = seen_lineage AND last < seen
      FOR NO KEY UPDATE;
      IF NOT FOUND THEN RETURN false; END IF;
      PERFORM feed.void(tenant);
      RETURN true;
    END $$
    """,
    """
    CREATE OR REPLACE FUNCTION feed.void_cursors() RETURNS bigint LANGUAGE sql VOLATILE AS $$
      SELECT count(feed.void(tenant_id))
      FROM (SELECT tenant_id FROM public.tenant_clock ORDER BY tenant_id) AS clock
    $$
    """,
]

OLD_TABLES = [
    """
    ALTER TABLE tenant_clock
      ADD generation int NOT NULL DEFAULT 0, ADD previous_lineage text, ADD forked_at timestamptz,
      DROP place, DROP feed_id, DROP voided_at,
      ALTER lineage TYPE text USING encode(lineage, 'hex')
    """,
    "DROP TABLE feed_forks",
    """
    COMMENT ON TABLE tenant_clock IS
      'One row a tenant. last: the highest committed stamp; opened_at: no stamp is older; '
      'lineage#generation: the history the stamps belong to; up to forked_at it agrees with '
      'previous_lineage; tombstone_floor: the highest stamp of a collected tombstone.'
    """,
]

OLD_FUNCTIONS = [
    *("DROP FUNCTION feed.void(uuid)", "DROP FUNCTION feed.void_cursors()"),
    "DROP FUNCTION feed.void_put_back(uuid, bytea, timestamptz)",
    *("DROP FUNCTION feed.fork(uuid)", "DROP FUNCTION feed.open(uuid, uuid)"),
    *("DROP FUNCTION feed.place()", "DROP FUNCTION feed.new_lineage()"),
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
    """
    CREATE OR REPLACE FUNCTION feed.tick(tenant uuid) RETURNS timestamptz
      LANGUAGE plpgsql VOLATILE AS $$
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
]


def upgrade() -> None:
    for statement in (*TABLES, *LINEAGE, *VOID):
        op.execute(statement)


def downgrade() -> None:
    before = context.script.get_revision("tenant_0005").module
    for statement in (*OLD_FUNCTIONS, before.VOID_CURSORS, *OLD_TABLES):
        op.execute(statement)
