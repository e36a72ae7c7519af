CREATE TABLE documents (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL DEFAULT gen_random_uuid(),
  folder varchar(1000) NOT NULL DEFAULT '',
  filename varchar(255) NOT NULL,
  mime_type varchar(100) NOT NULL,
  file_id uuid NOT NULL,
  user_id uuid,
  created_at timestamptz NOT NULL DEFAULT now(),
  created_by uuid,
  updated_at timestamptz NOT NULL DEFAULT now(),
  updated_by uuid,
  change_id uuid,
  is_deleted boolean NOT NULL DEFAULT false,
  deleted_at timestamptz,
  deleted_by uuid,
  CONSTRAINT documents_pkey PRIMARY KEY (tenant_id, id),
  CONSTRAINT documents_tenant_id_file_id_fkey
    FOREIGN KEY (tenant_id, file_id) REFERENCES files (tenant_id, id),
  -- PostgreSQL holds times that no page of the feed can carry.
  CONSTRAINT documents_times_in_years_1_to_9999_check CHECK (
    created_at BETWEEN '0001-01-01 00:00:00+00' AND '9999-12-31 23:59:59.999999+00'
    AND deleted_at BETWEEN '0001-01-01 00:00:00+00' AND '9999-12-31 23:59:59.999999+00'))
  WITH (fillfactor = 85);

CREATE INDEX documents_file_idx ON documents (tenant_id, file_id);

CREATE INDEX documents_newest_idx ON documents (tenant_id, created_at DESC, id DESC)
  WHERE NOT is_deleted;
