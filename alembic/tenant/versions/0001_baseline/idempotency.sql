-- The answers of requests that had an Idempotency-Key. answer is NULL while the request runs.
CREATE TABLE idempotency_keys (
  tenant_id uuid NOT NULL,
  user_id uuid NOT NULL,
  key varchar(255) NOT NULL,
  fingerprint bytea NOT NULL,
  answer jsonb,
  created_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT idempotency_keys_pkey PRIMARY KEY (tenant_id, user_id, key));

CREATE INDEX idempotency_keys_created_idx ON idempotency_keys (tenant_id, created_at);
