-- The feed: one entry for each document, written by triggers that fire at commit. Lock order of
-- every writer: rows of documents first, the tenant's clock last, nothing after it but the
-- commit. What the entries say can be held against the documents: see docs/decisions/0016.
CREATE TABLE feed_entries (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  updated_at timestamptz NOT NULL,
  appeared_at timestamptz NOT NULL,
  is_deleted boolean NOT NULL,
  CONSTRAINT feed_entries_pkey PRIMARY KEY (tenant_id, id));

COMMENT ON TABLE feed_entries IS
  'One row per document ever seen and not yet collected. updated_at is the version of the '
  'document and the order of the feed; appeared_at the stamp of its insert or undelete.';

CREATE UNIQUE INDEX feed_entries_keyset_idx ON feed_entries (tenant_id, updated_at, id)
  INCLUDE (is_deleted, appeared_at);

CREATE INDEX feed_entries_tombstones_idx ON feed_entries (tenant_id, updated_at)
  WHERE is_deleted;

-- The row of a document; all NULL if there is none.
--
-- This function, feed.write_versions and feed.astray look rows up by their keys, and must use the
-- index of the key. Where the statistics know nothing of a tenant yet, the planner takes all its
-- rows for one, and is as content with any other index that begins with the tenant, which it then
-- reads whole for each key. So they ask for an order that only the index of the key has, and may
-- not sort.
CREATE FUNCTION feed.document(tenant uuid, document uuid) RETURNS public.documents
  LANGUAGE plpgsql STABLE SET enable_sort = off SET enable_incremental_sort = off
  AS $$
DECLARE
  found public.documents;
BEGIN
  SELECT * INTO found FROM public.documents
  WHERE (tenant_id, id) >= (tenant, document) AND (tenant_id, id) <= (tenant, document)
  ORDER BY tenant_id, id LIMIT 1;
  RETURN found;
END $$;

-- Write a document's entry and version. A version that is written twice in one transaction is
-- one version: the last state. The setting syncapi.actor says who wrote it: a user's id, or 'row'
-- for a transaction that combines the pushes of several users: then each document's own updated_by
-- and change_id say it.
CREATE FUNCTION feed.write_version(document public.documents, dead boolean) RETURNS void
  LANGUAGE plpgsql VOLATILE AS $$
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

-- Record an insert, an update or a deletion of a document. A change of the key is a deletion and
-- an insert. SECURITY DEFINER: who may write documents may write the feed through them, and not
-- otherwise.
--
-- - A row is recorded as it is, and not as it was when the trigger was queued: where some
--   constraints are deferred and others are not, triggers do not fire in the order of the writes.
-- - A row without xmax has not been changed since the trigger was queued, and needs no look. One
--   that was locked before it was changed has an xmax too: a look at its place shows it, at less
--   cost than one by its key. (A plan from when the table was small would read the table whole,
--   hence enable_seqscan.)
-- - A row that is gone, or a key that is taken again, is recorded by a trigger of its own.
-- - A softly deleted row without an entry is one whose tombstone was collected: no client knows
--   the document any more, and its end is no news.
-- - The entry and the version are written by one statement here, and not by feed.write_version,
--   since every write pays for it. A condition with a query in it costs ten times one without,
--   even if the query is not reached: hence the nesting.
CREATE FUNCTION feed.record_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
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

-- Write the entries and versions of many documents as they are. Of a document that is gone the
-- last version is recorded again, as deleted.
CREATE FUNCTION feed.write_versions(tenant uuid, ids uuid[]) RETURNS void
  LANGUAGE plpgsql VOLATILE SET enable_sort = off SET enable_incremental_sort = off
  AS $$
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
END $$;

-- A change of a file's row is a change of the documents that refer to it. The clock comes first:
-- what others commit before it is seen, and what they commit after it has a later stamp. No
-- document is locked, since documents come before the clock in the order of locks.
CREATE FUNCTION feed.record_file_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM feed.stamp(NEW.tenant_id);
  PERFORM feed.write_versions(NEW.tenant_id, ARRAY(
    SELECT id FROM public.documents
    WHERE tenant_id = NEW.tenant_id AND file_id = NEW.id));
  RETURN NULL;
END $$;

CREATE FUNCTION feed.refuse_truncate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'TRUNCATE of % would lose deletions: use DELETE', TG_TABLE_NAME
    USING ERRCODE = 'feature_not_supported';
END $$;

CREATE CONSTRAINT TRIGGER documents_feed AFTER INSERT OR DELETE ON documents
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION feed.record_change();

CREATE CONSTRAINT TRIGGER documents_feed_update AFTER UPDATE ON documents
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION feed.record_change();

CREATE TRIGGER documents_no_truncate BEFORE TRUNCATE ON documents
  FOR EACH STATEMENT EXECUTE FUNCTION feed.refuse_truncate();

CREATE CONSTRAINT TRIGGER files_feed AFTER UPDATE ON files
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  WHEN ((OLD.md5_hash, OLD.sha256_hash, OLD.s3_path, OLD.file_size)
        IS DISTINCT FROM (NEW.md5_hash, NEW.sha256_hash, NEW.s3_path, NEW.file_size))
  EXECUTE FUNCTION feed.record_file_change();
