-- The clock of each tenant, and the history (lineage) that its stamps belong to. Why there is a
-- clock row, and not updated_at = now(), see docs/decisions/0001; of lineages, 0017 and 0020.
CREATE SCHEMA feed;

-- One hot row a tenant: room on the page and eager vacuum keep its updates HOT.
CREATE TABLE tenant_clock (
  tenant_id uuid NOT NULL,
  feed_id uuid NOT NULL,
  last timestamptz NOT NULL,
  opened_at timestamptz NOT NULL,
  lineage bytea NOT NULL,
  place text NOT NULL,
  tombstone_floor timestamptz NOT NULL DEFAULT 'epoch',
  voided_at timestamptz NOT NULL DEFAULT 'epoch',
  CONSTRAINT tenant_clock_pkey PRIMARY KEY (tenant_id))
  WITH (fillfactor = 20, autovacuum_vacuum_threshold = 500,
        autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_cost_delay = 0);

COMMENT ON TABLE tenant_clock IS
  'One row a tenant. last: the highest committed stamp; opened_at: no stamp is older; '
  'lineage: the history that the stamps belong to; place: where the clock ticked last; '
  'feed_id: which feed this is, as the control database knows it; tombstone_floor: the '
  'highest stamp of a collected tombstone; voided_at: no position from before it goes on.';

CREATE TABLE feed_forks (
  tenant_id uuid NOT NULL,
  lineage bytea NOT NULL,
  forked_at timestamptz NOT NULL,
  left_at timestamptz NOT NULL DEFAULT now(),
  is_void boolean NOT NULL DEFAULT false,
  CONSTRAINT feed_forks_pkey PRIMARY KEY (tenant_id, lineage));

COMMENT ON TABLE feed_forks IS
  'Histories that were left for another one: up to forked_at they agree with the present. '
  'left_at: when that was noticed; is_void: no cursor goes on from it.';

-- The wall clock is read in this one place, so that a test can step it.
CREATE FUNCTION feed.wall_clock() RETURNS timestamptz LANGUAGE sql VOLATILE
  AS $$ SELECT clock_timestamp() $$;

-- Eight bytes at random, as cursors carry them. The version of the uuid keeps them from being
-- all zero.
CREATE FUNCTION feed.new_lineage() RETURNS bytea LANGUAGE sql VOLATILE
  AS $$ SELECT substr(uuid_send(gen_random_uuid()), 1, 8) $$;

-- Cluster, timeline, database, table, and the start of the server: a copy that was put back
-- without recovery differs from its original in the last alone. None of them changes while a
-- backend that writes lives, so a session works it out once.
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
END $$;

-- How far the clock leaps where a history begins, to where no other history of the feed has
-- been: so a version names one write, in whichever history. It is more than an hour of a
-- thousand commits a second, each a microsecond, and more than two servers' clocks differ. It is
-- random, since siblings leap from the same place.
CREATE FUNCTION feed.leap() RETURNS interval LANGUAGE sql VOLATILE
  AS $$ SELECT interval '10 s' * (1 + random()) $$;

-- Begin a new history where the clock is in another place than at its last tick. No stamp can
-- have been given elsewhere under a lineage that is drawn here. What the last history had up to
-- now is the present's too. The newest 10,000 forks are kept.
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
  SET forked_at = least(known.forked_at, excluded.forked_at), left_at = excluded.left_at;
  UPDATE public.tenant_clock SET
    lineage = feed.new_lineage(), place = here,
    last = greatest(last, feed.wall_clock()) + feed.leap()
  WHERE tenant_id = tenant;
  DELETE FROM public.feed_forks WHERE tenant_id = tenant AND forked_at < (
    SELECT forked_at FROM public.feed_forks WHERE tenant_id = tenant
    ORDER BY forked_at DESC OFFSET 9999 LIMIT 1);
END $$;

-- Take the tenant's clock until commit and issue the next stamp, also if the wall clock stepped
-- back. An asynchronous commit is made a synchronous one: else clients would see what a crash
-- may take back, and have to begin again.
CREATE FUNCTION feed.tick(tenant uuid) RETURNS timestamptz LANGUAGE plpgsql VOLATILE
  AS $$
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
END $$;

-- Open a tenant's feed in this database, unless it is open. Returns which feed it is.
CREATE FUNCTION feed.open(tenant uuid, feed uuid) RETURNS uuid LANGUAGE plpgsql VOLATILE
  AS $$
BEGIN
  INSERT INTO public.tenant_clock (tenant_id, feed_id, last, opened_at, lineage, place)
  SELECT tenant, feed, wall, wall, feed.new_lineage(), feed.place()
  FROM feed.wall_clock() AS wall
  ON CONFLICT (tenant_id) DO NOTHING;
  RETURN (SELECT feed_id FROM public.tenant_clock WHERE tenant_id = tenant);
END $$;
