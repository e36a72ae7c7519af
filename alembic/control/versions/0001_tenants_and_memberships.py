"""Tenants, where their data is, and who may do what in them."""

from alembic import op

revision = "control_0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = [
    """
    CREATE TABLE tenants (
      id uuid NOT NULL DEFAULT gen_random_uuid(),
      name varchar(200) NOT NULL,
      slug varchar(63) NOT NULL,
      database varchar(63) NOT NULL DEFAULT 'default',
      is_active boolean NOT NULL DEFAULT true,
      created_at timestamptz NOT NULL DEFAULT now(),
      settings jsonb NOT NULL DEFAULT '{}',
      CONSTRAINT tenants_pkey PRIMARY KEY (id),
      CONSTRAINT tenants_slug_key UNIQUE (slug),
      CONSTRAINT tenants_slug_check CHECK (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'),
      CONSTRAINT tenants_settings_check CHECK (jsonb_typeof(settings) = 'object'))
    """,
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
    """
    COMMENT ON COLUMN tenants.database IS
      'Name of the tenant database that holds the tenant; the settings say where it is.'
    """,
]


def upgrade() -> None:
    for statement in TABLES:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE memberships")
    op.execute("DROP TABLE tenants")
