-- Every version of every document, until it is collected. There is no foreign key to files: it
-- would lock a file's row after the clock is taken, and the clock is the last lock of a writer.
CREATE TABLE document_history (
  tenant_id uuid NOT NULL,
  document_id uuid NOT NULL,
  updated_at timestamptz NOT NULL,
  folder varchar(1000) NOT NULL DEFAULT '',
  filename varchar(255) NOT NULL,
  mime_type varchar(100) NOT NULL,
  file_id uuid NOT NULL,
  user_id uuid,
  is_deleted boolean NOT NULL,
  changed_by uuid,
  database_role text NOT NULL,
  change_id uuid,
  CONSTRAINT document_history_pkey PRIMARY KEY (tenant_id, document_id, updated_at));

CREATE INDEX document_history_file_idx ON document_history (tenant_id, file_id);

-- A pushed change that was applied before is found by its id, and not applied again.
CREATE UNIQUE INDEX document_history_change_idx ON document_history (tenant_id, change_id)
  WHERE change_id IS NOT NULL;

-- The pushed changes whose versions were collected from the history. A change is kept from
-- collected_at on, and not from applied_at: a version that was pushed long ago may leave the
-- history only now, and from then on this table alone knows the change.
CREATE TABLE collected_changes (
  tenant_id uuid NOT NULL,
  change_id uuid NOT NULL,
  document_id uuid NOT NULL,
  applied_at timestamptz NOT NULL,
  collected_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT collected_changes_pkey PRIMARY KEY (tenant_id, change_id));

CREATE INDEX collected_changes_collected_idx ON collected_changes (tenant_id, collected_at);

CREATE INDEX collected_changes_document_idx
  ON collected_changes (tenant_id, document_id, applied_at);
