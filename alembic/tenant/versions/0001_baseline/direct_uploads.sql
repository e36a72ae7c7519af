-- s3_upload_id is NULL where one PUT takes the whole file.
CREATE TABLE direct_uploads (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  md5_hash char(32) NOT NULL,
  sha256_hash char(64) NOT NULL,
  file_size bigint NOT NULL,
  mime_type varchar(100) NOT NULL,
  s3_path varchar(500) NOT NULL,
  s3_upload_id text,
  part_size bigint NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  created_by uuid,
  expires_at timestamptz NOT NULL,
  file_id uuid,
  CONSTRAINT direct_uploads_pkey PRIMARY KEY (tenant_id, id),
  CONSTRAINT direct_uploads_tenant_id_s3_path_key UNIQUE (tenant_id, s3_path),
  CONSTRAINT direct_uploads_file_size_check CHECK (file_size >= 0));

COMMENT ON TABLE direct_uploads IS
  'Files whose bytes clients send straight to S3. expires_at: when the last URL that was '
  'signed stops working; file_id: the file that it became, NULL while it is under way.';

-- Not by the SHA-256 alone: a wrong declaration must not stand in the way of the right one.
CREATE UNIQUE INDEX direct_uploads_pending_idx
  ON direct_uploads (tenant_id, sha256_hash, md5_hash, file_size) WHERE file_id IS NULL;

CREATE INDEX direct_uploads_expiry_idx ON direct_uploads (tenant_id, expires_at);
