"""Tenants, where their data is, who may do what in them, and what was collected of them last."""

from alembic import op

revision = "0001"
down_revision = None

TENANTS = [
    """
    CREATE TABLE tenants (
      id uuid NOT NULL DEFAULT gen_random_uuid(),
      name varchar(200) NOT NULL,
      slug varchar(63) NOT NULL,
      database varchar(63) NOT NULL DEFAULT 'default',
      feed_id uuid,
      is_active boolean NOT NULL DEFAULT true,
      created_at timestamptz NOT NULL DEFAULT now(),
      settings jsonb NOT NULL DEFAULT '{}',
      CONSTRAINT tenants_pkey PRIMARY KEY (id),
      CONSTRAINT tenants_slug_key UNIQUE (slug),
      CONSTRAINT tenants_slug_check CHECK (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'),
      CONSTRAINT tenants_settings_check CHECK (jsonb_typeof(settings) = 'object'))
    """,
    """
    COMMENT ON COLUMN tenants.database IS
      'Name of the tenant database that holds the tenant; the settings say where it is.'
    """,
    # NULL where `syncapi tenant create` did not make the tenant: `syncapi migrate` fills it in
    # where it finds the feed.
    """
    COMMENT ON COLUMN tenants.feed_id IS
      'The feed that is the tenant''s: no database whose clock has another one is used.'
    """,
]

MEMBERSHIPS = [
    """
    CREATE TABLE memberships (
      user_id uuid NOT NULL,
      tenant_id uuid NOT NULL,
      role varchar(20) NOT NULL,
      CONSTRAINT memberships_pkey PRIMARY KEY (user_id, tenant_id),
      CONSTRAINT memberships_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id),
      CONSTRAINT memberships_role_check CHECK (role IN ('admin', 'user', 'viewer')))
    """,
    "CREATE INDEX memberships_tenant_id_idx ON memberships (tenant_id)",
]

# Where a tenant's feed was when its garbage was collected last. An older copy of the tenant's
# database has the same feed, and newer bytes look unused there.
COLLECTIONS = """
    CREATE TABLE collections (
      tenant_id uuid NOT NULL,
      lineage bytea NOT NULL,
      head timestamptz NOT NULL,
      CONSTRAINT collections_pkey PRIMARY KEY (tenant_id),
      CONSTRAINT collections_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id)
        ON DELETE CASCADE)
"""


def upgrade() -> None:
    for statement in (*TENANTS, *MEMBERSHIPS, COLLECTIONS):
        op.execute(statement)


def downgrade() -> None:
    for table in ("collections", "memberships", "tenants"):
        op.execute(f"DROP TABLE {table}")
