-- The whole SQL of this tree. `make schema` makes it from the migrations.

CREATE SCHEMA feed;

CREATE FUNCTION feed.astray(tenant uuid, among uuid[] DEFAULT NULL::uuid[]) RETURNS SETOF uuid
    LANGUAGE plpgsql STABLE
    SET enable_sort TO 'off'
    SET enable_incremental_sort TO 'off'
    AS $_$
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
END $_$;

CREATE FUNCTION feed.collect_tombstones(tenant uuid, keep interval, most integer DEFAULT 5000) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION feed.copied(tenant uuid, ids uuid[], since timestamp with time zone[], until timestamp with time zone[]) RETURNS TABLE(document_id uuid, updated_at timestamp with time zone)
    LANGUAGE plpgsql STABLE ROWS 500
    SET enable_sort TO 'off'
    SET enable_incremental_sort TO 'off'
    AS $_$
BEGIN
  RETURN QUERY EXECUTE $sql$
    SELECT asked.id, asked.since
    FROM unnest($2, $3, $4) AS asked (id, since, until)
    CROSS JOIN LATERAL (
      SELECT
        bool_or(version.updated_at = asked.since) AS exists,
        count(DISTINCT (folder, filename, mime_type, file_id, user_id, is_deleted)) AS different
      FROM (
        SELECT * FROM public.document_history
        WHERE (tenant_id, document_id, updated_at) >= ($1, asked.id, asked.since)
          AND (tenant_id, document_id, updated_at) <= ($1, asked.id, asked.until)
        ORDER BY tenant_id, document_id, updated_at
      ) AS version
    ) AS versions
    WHERE versions.exists AND versions.different = 1
  $sql$ USING tenant, ids, since, until;
END $_$;

CREATE TABLE public.documents (
    tenant_id uuid NOT NULL,
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    folder character varying(1000) DEFAULT ''::character varying NOT NULL,
    filename character varying(255) NOT NULL,
    mime_type character varying(100) NOT NULL,
    file_id uuid NOT NULL,
    user_id uuid,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    created_by uuid,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_by uuid,
    change_id uuid,
    is_deleted boolean DEFAULT false NOT NULL,
    deleted_at timestamp with time zone,
    deleted_by uuid,
    CONSTRAINT documents_times_in_years_1_to_9999_check CHECK ((((created_at >= '0001-01-01 00:00:00+00'::timestamp with time zone) AND (created_at <= '9999-12-31 23:59:59.999999+00'::timestamp with time zone)) AND ((deleted_at >= '0001-01-01 00:00:00+00'::timestamp with time zone) AND (deleted_at <= '9999-12-31 23:59:59.999999+00'::timestamp with time zone))))
)
WITH (fillfactor='85');

CREATE FUNCTION feed.document(tenant uuid, document uuid) RETURNS public.documents
    LANGUAGE plpgsql STABLE
    SET enable_sort TO 'off'
    SET enable_incremental_sort TO 'off'
    AS $$
DECLARE
  found public.documents;
BEGIN
  SELECT * INTO found FROM public.documents
  WHERE (tenant_id, id) >= (tenant, document) AND (tenant_id, id) <= (tenant, document)
  ORDER BY tenant_id, id LIMIT 1;
  RETURN found;
END $$;

CREATE FUNCTION feed.flush(tenant uuid) RETURNS timestamp with time zone
    LANGUAGE plpgsql
    SET lock_timeout TO '2s'
    AS $$
BEGIN
  SET CONSTRAINTS ALL IMMEDIATE;
  RETURN feed.issued_stamp(tenant);
END $$;

CREATE FUNCTION feed.fork(tenant uuid) RETURNS void
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION feed.issued_stamp(tenant uuid) RETURNS timestamp with time zone
    LANGUAGE plpgsql
    AS $$
DECLARE
  slot text := current_setting('feed.slot' || (hashtext(tenant::text) & 63), true);
  owner text := pg_current_xact_id()::text || ' ' || tenant::text || ' ';
BEGIN
  IF starts_with(slot, owner) THEN
    RETURN substr(slot, length(owner) + 1)::timestamptz;
  END IF;
  RETURN NULL;
END $$;

CREATE FUNCTION feed.known(tenant uuid, ids uuid[], change_ids uuid[], file_ids uuid[], base_ids uuid[], base_versions timestamp with time zone[]) RETURNS TABLE(kind text, id uuid, version timestamp with time zone, reference uuid, folder character varying, filename character varying, mime_type character varying, is_deleted boolean, user_id text, created_by text, deleted_by text, created_at timestamp without time zone, deleted_at timestamp without time zone, md5_hash character, sha256_hash character, file_size bigint)
    LANGUAGE plpgsql STABLE ROWS 500
    SET enable_sort TO 'off'
    SET enable_incremental_sort TO 'off'
    AS $_$
DECLARE
  known text := $sql$
    WITH entry AS MATERIALIZED (
      SELECT id, updated_at FROM public.feed_entries
      WHERE tenant_id = $1 AND id = ANY($2)),
    document AS MATERIALIZED (
      SELECT * FROM public.documents WHERE tenant_id = $1 AND id = ANY($2)),
    file AS MATERIALIZED (
      SELECT id, md5_hash, sha256_hash, file_size, updated_at FROM public.files
      WHERE tenant_id = $1 AND id = ANY($4 || ARRAY(SELECT file_id FROM document)))
    SELECT 'state', coalesce(entry.id, document.id), coalesce(entry.updated_at, 'epoch'),
           document.file_id, document.folder, document.filename, document.mime_type,
           document.is_deleted, document.user_id::text, document.created_by::text,
           document.deleted_by::text,
           document.created_at AT TIME ZONE 'UTC', document.deleted_at AT TIME ZONE 'UTC',
           file.md5_hash, file.sha256_hash, file.file_size
    FROM entry
    FULL JOIN document ON document.id = entry.id
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
    SELECT 'file', id, least(greatest(updated_at, 'epoch'), now()), id, NULL, NULL, NULL, NULL,
           NULL, NULL, NULL, NULL, NULL, md5_hash, sha256_hash, file_size
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
      CROSS JOIN LATERAL (
        SELECT * FROM public.document_history
        WHERE (tenant_id, document_id, updated_at) >= ($1, asked.id, asked.version)
          AND (tenant_id, document_id, updated_at) <= ($1, asked.id, asked.version)
        ORDER BY tenant_id, document_id, updated_at LIMIT 1
      ) AS history
    $sql$;
  END IF;
  RETURN QUERY EXECUTE known
    USING tenant, ids, change_ids, file_ids, base_ids, base_versions;
END $_$;

CREATE FUNCTION feed.leap() RETURNS interval
    LANGUAGE sql
    AS $$ SELECT interval '10 s' * (1 + random()) $$;

CREATE FUNCTION feed.mend(tenant uuid, suspects uuid[]) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
BEGIN
  IF suspects = '{}' THEN
    RETURN 0;
  END IF;
  PERFORM feed.stamp(tenant);
  suspects := ARRAY(SELECT feed.astray(tenant, suspects));
  PERFORM feed.write_versions(tenant, suspects);
  RETURN cardinality(suspects);
END $$;

CREATE FUNCTION feed.new_lineage() RETURNS bytea
    LANGUAGE sql
    AS $$ SELECT substr(uuid_send(gen_random_uuid()), 1, 8) $$;

CREATE FUNCTION feed.open(tenant uuid, feed uuid) RETURNS uuid
    LANGUAGE plpgsql
    AS $$
BEGIN
  INSERT INTO public.tenant_clock (tenant_id, feed_id, last, opened_at, lineage, place)
  SELECT tenant, feed, wall, wall, feed.new_lineage(), feed.place()
  FROM feed.wall_clock() AS wall
  ON CONFLICT (tenant_id) DO NOTHING;
  RETURN (SELECT feed_id FROM public.tenant_clock WHERE tenant_id = tenant);
END $$;

CREATE FUNCTION feed.place() RETURNS text
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION feed.push(tenant uuid, ids uuid[], seen timestamp with time zone[], change_ids uuid[], authors uuid[], folders text[], filenames text[], mime_types text[], file_ids uuid[], deletions boolean[], OUT stamp timestamp with time zone, OUT written_at timestamp with time zone) RETURNS record
    LANGUAGE plpgsql
    SET lock_timeout TO '250ms'
    AS $_$
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
    WHERE entry.updated_at IS DISTINCT FROM nullif(change.seen, 'epoch')
  $sql$ INTO raced USING tenant, ids, seen;
  IF raced > 0 OR changed + added <> cardinality(ids) THEN
    RAISE EXCEPTION 'a document has changed since it was read' USING ERRCODE = '40001';
  END IF;
  stamp := feed.flush(tenant);
  written_at := now();
END $_$;

CREATE FUNCTION feed.reconcile(tenant uuid) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
BEGIN
  RETURN feed.mend(tenant, ARRAY(SELECT feed.astray(tenant)));
END $$;

CREATE FUNCTION feed.record_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    AS $$
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
END $$;

CREATE FUNCTION feed.record_file_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
  PERFORM feed.stamp(NEW.tenant_id);
  PERFORM feed.write_versions(NEW.tenant_id, ARRAY(
    SELECT id FROM public.documents
    WHERE tenant_id = NEW.tenant_id AND file_id = NEW.id));
  RETURN NULL;
END $$;

CREATE FUNCTION feed.refuse_truncate() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  RAISE EXCEPTION 'TRUNCATE of % would lose deletions: use DELETE', TG_TABLE_NAME
    USING ERRCODE = 'feature_not_supported';
END $$;

CREATE FUNCTION feed.renew_files(tenant uuid, ids uuid[]) RETURNS void
    LANGUAGE sql
    AS $_$
  UPDATE public.files SET updated_at = clock_timestamp()
  WHERE tenant_id = tenant
    AND id IN (SELECT id FROM public.files WHERE tenant_id = tenant AND id = ANY(ids)
               ORDER BY id FOR NO KEY UPDATE)
    AND md5_hash ~ '^[0-9a-f]{32}$' AND sha256_hash ~ '^[0-9a-f]{64}$'
$_$;

CREATE FUNCTION feed.stamp(tenant uuid) RETURNS timestamp with time zone
    LANGUAGE plpgsql
    AS $$
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
END $$;

CREATE FUNCTION feed.tick(tenant uuid) RETURNS timestamp with time zone
    LANGUAGE plpgsql
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

CREATE FUNCTION feed.void(tenant uuid, OUT floor timestamp with time zone, OUT mended bigint) RETURNS record
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION feed.void_cursors() RETURNS bigint
    LANGUAGE sql
    AS $$
  SELECT count(feed.void(tenant_id))
  FROM (SELECT tenant_id FROM public.tenant_clock ORDER BY tenant_id) AS clock
$$;

CREATE FUNCTION feed.void_put_back(tenant uuid, seen_lineage bytea, seen timestamp with time zone) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
BEGIN
  PERFORM FROM public.tenant_clock
  WHERE tenant_id = tenant AND place = feed.place() AND lineage = seen_lineage AND last < seen
  FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN false; END IF;
  PERFORM feed.void(tenant);
  DELETE FROM public.feed_forks WHERE tenant_id = tenant;
  RETURN true;
END $$;

CREATE FUNCTION feed.wall_clock() RETURNS timestamp with time zone
    LANGUAGE sql
    AS $$ SELECT clock_timestamp() $$;

CREATE FUNCTION feed.write_version(document public.documents, dead boolean) RETURNS void
    LANGUAGE plpgsql
    AS $$
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
END $$;

CREATE FUNCTION feed.write_versions(tenant uuid, ids uuid[]) RETURNS void
    LANGUAGE plpgsql
    SET enable_sort TO 'off'
    SET enable_incremental_sort TO 'off'
    AS $_$
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
END $_$;

CREATE TABLE public.collected_changes (
    tenant_id uuid NOT NULL,
    change_id uuid NOT NULL,
    document_id uuid NOT NULL,
    applied_at timestamp with time zone NOT NULL,
    collected_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.direct_uploads (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    md5_hash character(32) NOT NULL,
    sha256_hash character(64) NOT NULL,
    file_size bigint NOT NULL,
    mime_type character varying(100) NOT NULL,
    s3_path character varying(500) NOT NULL,
    s3_upload_id text,
    part_size bigint NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    created_by uuid,
    expires_at timestamp with time zone NOT NULL,
    file_id uuid,
    CONSTRAINT direct_uploads_file_size_check CHECK ((file_size >= 0))
);

COMMENT ON TABLE public.direct_uploads IS 'Files whose bytes clients send straight to S3. expires_at: when the last URL that was signed stops working; file_id: the file that it became, NULL while it is under way.';

CREATE TABLE public.document_history (
    tenant_id uuid NOT NULL,
    document_id uuid NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    folder character varying(1000) DEFAULT ''::character varying NOT NULL,
    filename character varying(255) NOT NULL,
    mime_type character varying(100) NOT NULL,
    file_id uuid NOT NULL,
    user_id uuid,
    is_deleted boolean NOT NULL,
    changed_by uuid,
    database_role text NOT NULL,
    change_id uuid
);

CREATE TABLE public.feed_entries (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    appeared_at timestamp with time zone NOT NULL,
    is_deleted boolean NOT NULL
);

COMMENT ON TABLE public.feed_entries IS 'One row per document ever seen and not yet collected. updated_at is the version of the document and the order of the feed; appeared_at the stamp of its insert or undelete.';

CREATE TABLE public.feed_forks (
    tenant_id uuid NOT NULL,
    lineage bytea NOT NULL,
    forked_at timestamp with time zone NOT NULL,
    left_at timestamp with time zone DEFAULT now() NOT NULL,
    is_void boolean DEFAULT false NOT NULL
);

COMMENT ON TABLE public.feed_forks IS 'Histories that were left for another one: up to forked_at they agree with the present. left_at: when that was noticed; is_void: no cursor goes on from it.';

CREATE TABLE public.files (
    tenant_id uuid NOT NULL,
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    md5_hash character(32) NOT NULL,
    sha256_hash character(64) NOT NULL,
    s3_path character varying(500) NOT NULL,
    file_size bigint NOT NULL,
    file_metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    created_by uuid,
    CONSTRAINT files_file_size_check CHECK ((file_size >= 0)),
    CONSTRAINT files_md5_hash_check CHECK ((md5_hash ~ '^[0-9a-f]{32}$'::text)),
    CONSTRAINT files_s3_path_check CHECK ((((s3_path)::text <> ''::text) AND ((s3_path)::text !~ '(^|/)[.][.]?(/|$)'::text))),
    CONSTRAINT files_sha256_hash_check CHECK ((sha256_hash ~ '^[0-9a-f]{64}$'::text))
);

CREATE TABLE public.idempotency_keys (
    tenant_id uuid NOT NULL,
    user_id uuid NOT NULL,
    key character varying(255) NOT NULL,
    fingerprint bytea NOT NULL,
    answer jsonb,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.tenant_clock (
    tenant_id uuid NOT NULL,
    feed_id uuid NOT NULL,
    last timestamp with time zone NOT NULL,
    opened_at timestamp with time zone NOT NULL,
    lineage bytea NOT NULL,
    place text NOT NULL,
    tombstone_floor timestamp with time zone DEFAULT '1970-01-01 00:00:00+00'::timestamp with time zone NOT NULL,
    voided_at timestamp with time zone DEFAULT '1970-01-01 00:00:00+00'::timestamp with time zone NOT NULL
)
WITH (fillfactor='20', autovacuum_vacuum_threshold='500', autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_cost_delay='0');

COMMENT ON TABLE public.tenant_clock IS 'One row a tenant. last: the highest committed stamp; opened_at: no stamp is older; lineage: the history that the stamps belong to; place: where the clock ticked last; feed_id: which feed this is, as the control database knows it; tombstone_floor: the highest stamp of a collected tombstone; voided_at: no position from before it goes on.';

ALTER TABLE ONLY public.collected_changes
    ADD CONSTRAINT collected_changes_pkey PRIMARY KEY (tenant_id, change_id);

ALTER TABLE ONLY public.direct_uploads
    ADD CONSTRAINT direct_uploads_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY public.direct_uploads
    ADD CONSTRAINT direct_uploads_tenant_id_s3_path_key UNIQUE (tenant_id, s3_path);

ALTER TABLE ONLY public.document_history
    ADD CONSTRAINT document_history_pkey PRIMARY KEY (tenant_id, document_id, updated_at);

ALTER TABLE ONLY public.documents
    ADD CONSTRAINT documents_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY public.feed_entries
    ADD CONSTRAINT feed_entries_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY public.feed_forks
    ADD CONSTRAINT feed_forks_pkey PRIMARY KEY (tenant_id, lineage);

ALTER TABLE ONLY public.files
    ADD CONSTRAINT files_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY public.files
    ADD CONSTRAINT files_tenant_id_sha256_hash_key UNIQUE (tenant_id, sha256_hash);

ALTER TABLE ONLY public.idempotency_keys
    ADD CONSTRAINT idempotency_keys_pkey PRIMARY KEY (tenant_id, user_id, key);

ALTER TABLE ONLY public.tenant_clock
    ADD CONSTRAINT tenant_clock_pkey PRIMARY KEY (tenant_id);

CREATE INDEX collected_changes_collected_idx ON public.collected_changes USING btree (tenant_id, collected_at);

CREATE INDEX collected_changes_document_idx ON public.collected_changes USING btree (tenant_id, document_id, applied_at);

CREATE INDEX direct_uploads_expiry_idx ON public.direct_uploads USING btree (tenant_id, expires_at);

CREATE UNIQUE INDEX direct_uploads_pending_idx ON public.direct_uploads USING btree (tenant_id, sha256_hash, md5_hash, file_size) WHERE (file_id IS NULL);

CREATE UNIQUE INDEX document_history_change_idx ON public.document_history USING btree (tenant_id, change_id) WHERE (change_id IS NOT NULL);

CREATE INDEX document_history_file_idx ON public.document_history USING btree (tenant_id, file_id);

CREATE INDEX documents_file_idx ON public.documents USING btree (tenant_id, file_id);

CREATE INDEX documents_newest_idx ON public.documents USING btree (tenant_id, created_at DESC, id DESC) WHERE (NOT is_deleted);

CREATE UNIQUE INDEX feed_entries_keyset_idx ON public.feed_entries USING btree (tenant_id, updated_at, id) INCLUDE (is_deleted, appeared_at);

CREATE INDEX feed_entries_tombstones_idx ON public.feed_entries USING btree (tenant_id, updated_at) WHERE is_deleted;

CREATE INDEX files_s3_path_idx ON public.files USING btree (tenant_id, s3_path);

CREATE INDEX idempotency_keys_created_idx ON public.idempotency_keys USING btree (tenant_id, created_at);

CREATE CONSTRAINT TRIGGER documents_feed AFTER INSERT OR DELETE ON public.documents DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION feed.record_change();

CREATE CONSTRAINT TRIGGER documents_feed_update AFTER UPDATE ON public.documents DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((old.* IS DISTINCT FROM new.*)) EXECUTE FUNCTION feed.record_change();

CREATE TRIGGER documents_no_truncate BEFORE TRUNCATE ON public.documents FOR EACH STATEMENT EXECUTE FUNCTION feed.refuse_truncate();

CREATE CONSTRAINT TRIGGER files_feed AFTER UPDATE ON public.files DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (((((old.md5_hash IS DISTINCT FROM new.md5_hash) OR (old.sha256_hash IS DISTINCT FROM new.sha256_hash)) OR ((old.s3_path)::text IS DISTINCT FROM (new.s3_path)::text)) OR (old.file_size IS DISTINCT FROM new.file_size))) EXECUTE FUNCTION feed.record_file_change();

ALTER TABLE ONLY public.documents
    ADD CONSTRAINT documents_tenant_id_file_id_fkey FOREIGN KEY (tenant_id, file_id) REFERENCES public.files(tenant_id, id);
