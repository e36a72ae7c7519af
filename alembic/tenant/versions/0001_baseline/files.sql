-- A file is the bytes that documents have, once for each tenant: it is found by its SHA-256.
CREATE TABLE files (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL DEFAULT gen_random_uuid(),
  md5_hash char(32) NOT NULL,
  sha256_hash char(64) NOT NULL,
  s3_path varchar(500) NOT NULL,
  file_size bigint NOT NULL,
  file_metadata jsonb NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  created_by uuid,
  CONSTRAINT files_pkey PRIMARY KEY (tenant_id, id),
  CONSTRAINT files_tenant_id_sha256_hash_key UNIQUE (tenant_id, sha256_hash),
  CONSTRAINT files_file_size_check CHECK (file_size >= 0),
  -- Clients find and name what they hold by these hashes.
  CONSTRAINT files_md5_hash_check CHECK (md5_hash ~ '^[0-9a-f]{32}$'),
  CONSTRAINT files_sha256_hash_check CHECK (sha256_hash ~ '^[0-9a-f]{64}$'),
  -- No request can name an object whose path is empty or has a part that is a dot or two.
  CONSTRAINT files_s3_path_check
    CHECK (s3_path <> '' AND s3_path !~ '(^|/)[.][.]?(/|$)'));

-- Garbage collection asks of an object in S3 whether a file has it.
CREATE INDEX files_s3_path_idx ON files (tenant_id, s3_path);
