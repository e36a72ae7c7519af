-- What garbage collection runs in the database. See docs/decisions/0010, 0017 and 0020.

-- Keep files for as long as those that an answer named a moment ago. Versions and deletions that
-- are collected set files free, and where this database is a copy, another one may need them. Rows
-- with malformed hashes are passed over: the table's constraints would refuse to have them updated.
CREATE FUNCTION feed.renew_files(tenant uuid, ids uuid[]) RETURNS void LANGUAGE sql VOLATILE
  AS $$
  UPDATE public.files SET updated_at = clock_timestamp()
  WHERE tenant_id = tenant
    AND id IN (SELECT id FROM public.files WHERE tenant_id = tenant AND id = ANY(ids)
               ORDER BY id FOR NO KEY UPDATE)
    AND md5_hash ~ '^[0-9a-f]{32}$' AND sha256_hash ~ '^[0-9a-f]{64}$'
$$;

-- Collect tombstones that are older than `keep`, with the softly deleted rows of their documents:
-- without an entry no client can know such a document any more, and the row would stand in the
-- way of a new one with its id. The floor is raised in the same transaction, under the clock: a
-- reader sees both or neither. Files are renewed before the clock is taken: whoever was promised
-- a file has its row, and waits for the clock. Returns how many were collected.
CREATE FUNCTION feed.collect_tombstones(tenant uuid, keep interval, most int DEFAULT 5000)
  RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  horizon timestamptz := feed.wall_clock() - keep;
  old uuid[] := ARRAY(
    SELECT id FROM public.feed_entries
    WHERE tenant_id = tenant AND is_deleted AND updated_at < horizon
    ORDER BY updated_at LIMIT most);
  collected uuid[];
  highest timestamptz;
BEGIN
  PERFORM 1 FROM public.documents
  WHERE tenant_id = tenant AND id = ANY(old) ORDER BY id FOR UPDATE;
  PERFORM feed.renew_files(tenant, ARRAY(
    SELECT file_id FROM public.documents
    WHERE tenant_id = tenant AND id = ANY(old) AND is_deleted));
  PERFORM 1 FROM public.tenant_clock WHERE tenant_id = tenant FOR NO KEY UPDATE;
  WITH gone AS (
    DELETE FROM public.feed_entries AS entry
    WHERE entry.tenant_id = tenant AND entry.id = ANY(old)
      AND entry.is_deleted AND entry.updated_at < horizon
    RETURNING entry.id, entry.updated_at)
  SELECT array_agg(id), max(updated_at) INTO collected, highest FROM gone;
  DELETE FROM public.documents
  WHERE tenant_id = tenant AND id = ANY(collected) AND is_deleted;
  UPDATE public.tenant_clock SET tombstone_floor = greatest(tombstone_floor, highest)
  WHERE tenant_id = tenant AND highest IS NOT NULL;
  RETURN coalesce(cardinality(collected), 0);
END $$;
