-- Pushes are read by one statement (feed.known) and written by one (feed.push). See
-- docs/decisions/0012 and 0018.
--
-- EXECUTE has what looks rows up planned anew each time. A plan that was kept from when the tables
-- were small would read them whole, or once for each row, when they have grown. Each table is read
-- by one condition on all ids, and joined afterwards: where the statistics know nothing of a
-- tenant yet, the planner takes all its rows for one, and would look for each row among all of
-- them. Versions are looked up one by one, since a document has many: a comparison of rows, with
-- sorting disabled, leaves the planner nothing but the primary key.

-- What pushes are judged by; nothing is locked. It is one statement, so one snapshot: of
-- documents, of changes that were applied, of files, and of the versions that changes were made
-- from, where those are not the documents' own. `kind` says which of these a row is. `reference`
-- is the file of a document or version, and the document of a change. The version of a document
-- without an entry is the epoch, so that pushes find it and change it. The version of a file is
-- when it was last promised to somebody (docs/decisions/0010); it is kept within the times that a
-- client can read.
CREATE FUNCTION feed.known(
  tenant uuid, ids uuid[], change_ids uuid[], file_ids uuid[],
  base_ids uuid[], base_versions timestamptz[])
  RETURNS TABLE (
    kind text, id uuid, version timestamptz, reference uuid, folder varchar,
    filename varchar, mime_type varchar, is_deleted boolean, user_id text, created_by text,
    deleted_by text, created_at timestamp, deleted_at timestamp, md5_hash bpchar,
    sha256_hash bpchar, file_size bigint)
  LANGUAGE plpgsql STABLE ROWS 500 SET enable_sort = off SET enable_incremental_sort = off
  AS $$
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
END $$;

-- Those of the versions `since` of documents that were written again and again until the versions
-- `until`, and never changed. So it is where something other than the document was mended, such as
-- the MD5 of its file. The versions of a document leave the history oldest first: where the first is
-- there, so are those behind it.
CREATE FUNCTION feed.copied(
  tenant uuid, ids uuid[], since timestamptz[], until timestamptz[])
  RETURNS TABLE (document_id uuid, updated_at timestamptz)
  LANGUAGE plpgsql STABLE ROWS 500 SET enable_sort = off SET enable_incremental_sort = off
  AS $$
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
END $$;

-- Write what was decided upon: lock, see that nothing has changed since, and write; or fail, and
-- leave nothing.
--
-- The order of locks is that of every writer: documents in the order of their ids, then files (by
-- the foreign key), then the clock. The versions are compared last of all, by a statement of its
-- own, which sees what was committed before it: no document that is locked or written by then can
-- move on, nor can one be made and erased in between without its tombstone being seen.
--
-- Pushes share a transaction, and a document that somebody keeps locked must not hold up those
-- that want others: after a quarter of a second this gives up, and the service finds out which of
-- the pushes are concerned.
CREATE FUNCTION feed.push(
  tenant uuid, ids uuid[], seen timestamptz[], change_ids uuid[], authors uuid[],
  folders text[], filenames text[], mime_types text[], file_ids uuid[], deletions boolean[],
  OUT stamp timestamptz, OUT written_at timestamptz)
  LANGUAGE plpgsql VOLATILE SET lock_timeout = '250ms' AS $$
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
END $$;
