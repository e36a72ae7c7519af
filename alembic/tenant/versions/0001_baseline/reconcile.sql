-- What operators run after a restore, and after work that the triggers could not see.

-- The documents whose entry says otherwise than the row. An entry is missing, superfluous or
-- wrong, or stands where no reader comes; or the newest version is not what the row holds. A
-- tombstone is astray too if it stands before its version, since readers that are past its stamp
-- never hear of the deletion, or if its version is of another row: what a deleted document was is
-- shown in conflicts, and comes back with it. Versions of what is deleted are collected: where
-- there is none, the entry is all that is known. A transaction that is under way is seen with
-- both its rows and its entries, or with neither.
CREATE FUNCTION feed.astray(tenant uuid, among uuid[] DEFAULT NULL) RETURNS SETOF uuid
  LANGUAGE plpgsql STABLE SET enable_sort = off SET enable_incremental_sort = off
  AS $$
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
      WHERE (tenant_id, document_id) >= ($1, entry.id)
        AND (tenant_id, document_id) <= ($1, entry.id)
      ORDER BY tenant_id DESC, document_id DESC, updated_at DESC LIMIT 1
    ) AS version ON true
    WHERE entry.id IS NULL
       OR entry.is_deleted <> coalesce(document.is_deleted, true)
       OR entry.updated_at <= 'epoch'
       OR entry.updated_at > coalesce(
            (SELECT last FROM public.tenant_clock WHERE tenant_id = $1), 'epoch')
       OR entry.is_deleted AND entry.updated_at < version.updated_at
       OR document.is_deleted AND version.document_id IS NOT NULL
          AND (version.folder, version.filename, version.mime_type, version.file_id,
               version.user_id)
              IS DISTINCT FROM
              (document.folder, document.filename, document.mime_type, document.file_id,
               document.user_id)
       OR NOT document.is_deleted
          AND (version.updated_at, version.folder, version.filename, version.mime_type,
               version.file_id, version.user_id, version.is_deleted)
              IS DISTINCT FROM
              (entry.updated_at, document.folder, document.filename, document.mime_type,
               document.file_id, document.user_id, false)
  $sql$ USING tenant, among;
END $$;

-- Write anew the entries of the suspects that are astray, under the clock, with a stamp that all
-- readers have yet to come to. Returns how many those were.
CREATE FUNCTION feed.mend(tenant uuid, suspects uuid[]) RETURNS bigint
  LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  IF suspects = '{}' THEN
    RETURN 0;
  END IF;
  PERFORM feed.stamp(tenant);
  suspects := ARRAY(SELECT feed.astray(tenant, suspects));
  PERFORM feed.write_versions(tenant, suspects);
  RETURN cardinality(suspects);
END $$;

-- Find and mend what is astray. Writers go on while all documents are looked at; only those that
-- seem astray are looked at again under the clock. Returns how many were mended.
CREATE FUNCTION feed.reconcile(tenant uuid) RETURNS bigint LANGUAGE plpgsql VOLATILE
  AS $$
BEGIN
  RETURN feed.mend(tenant, ARRAY(SELECT feed.astray(tenant)));
END $$;

-- After work that took back what clients have seen: have every client of the tenant begin anew.
-- Returns the feed's time from here on, and how many entries said otherwise than their documents.
--
-- - No cursor goes on, by its lineage, and no `since`, which knows none, by the floor: that is an
--   hour ahead, so that it is past whatever a clock that was ahead of this one gave out.
-- - opened_at is just after the epoch: from now on only `since=1970-01-01T00:00:00Z` says that a
--   client holds nothing.
-- - The history that is left is kept as a void fork, for garbage collection alone, with the time
--   before the void's own stamps and after everybody else's: so it sees whether the database that
--   was voided had all that it knows of.
CREATE FUNCTION feed.void(tenant uuid, OUT floor timestamptz, OUT mended bigint)
  LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  suspects uuid[] := ARRAY(SELECT feed.astray(tenant));
  before public.tenant_clock;
BEGIN
  SELECT * INTO before FROM public.tenant_clock WHERE tenant_id = tenant FOR NO KEY UPDATE;
  mended := feed.mend(tenant, suspects);
  floor := greatest(feed.tick(tenant), feed.wall_clock() + interval '1 hour') + feed.leap();
  UPDATE public.tenant_clock SET
    lineage = feed.new_lineage(), last = floor, tombstone_floor = floor, voided_at = floor,
    opened_at = timestamptz 'epoch' + interval '1 microsecond'
  WHERE tenant_id = tenant;
  UPDATE public.feed_forks SET is_void = true WHERE tenant_id = tenant AND NOT is_void;
  INSERT INTO public.feed_forks AS known (tenant_id, lineage, forked_at, is_void)
  VALUES (tenant, before.lineage, before.last, true)
  ON CONFLICT (tenant_id, lineage) DO UPDATE SET
    forked_at = least(known.forked_at, excluded.forked_at), left_at = excluded.left_at;
END $$;

-- For the service, which remembers how far it saw each clock: void a feed whose clock was seen at
-- a later time of this lineage, if it is still behind that and no fork will part it from that. No
-- fork is kept, so that garbage collection waits for an operator.
CREATE FUNCTION feed.void_put_back(tenant uuid, seen_lineage bytea, seen timestamptz)
  RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  PERFORM FROM public.tenant_clock
  WHERE tenant_id = tenant AND place = feed.place() AND lineage = seen_lineage AND last < seen
  FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN false; END IF;
  PERFORM feed.void(tenant);
  DELETE FROM public.feed_forks WHERE tenant_id = tenant;
  RETURN true;
END $$;

-- Void the feeds of all tenants in this database. Returns how many those are.
CREATE FUNCTION feed.void_cursors() RETURNS bigint LANGUAGE sql VOLATILE
  AS $$
  SELECT count(feed.void(tenant_id))
  FROM (SELECT tenant_id FROM public.tenant_clock ORDER BY tenant_id) AS clock
$$;
