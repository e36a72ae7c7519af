"""Where a tenant's feed was when its garbage was collected last.

An older copy of the tenant's database has the same feed, and newer bytes look unused there.
"""

from alembic import op

revision = "control_0003"
down_revision = "control_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE collections (
          tenant_id uuid NOT NULL,
          lineage bytea NOT NULL,
          head timestamptz NOT NULL,
          CONSTRAINT collections_pkey PRIMARY KEY (tenant_id),
          CONSTRAINT collections_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id)
            ON DELETE CASCADE)
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE collections")
