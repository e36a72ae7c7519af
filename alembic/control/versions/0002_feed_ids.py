"""Which feed is a tenant's, so that no other one is taken for it.

NULL for tenants of before: `syncapi migrate` fills it in where it finds the feed.
"""

from alembic import op

revision = "control_0002"
down_revision = "control_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE tenants ADD COLUMN feed_id uuid")
    op.execute(
        "COMMENT ON COLUMN tenants.feed_id IS "
        "'The feed that is the tenant''s: no database whose clock has another one is used.'"
    )


def downgrade() -> None:
    op.execute("ALTER TABLE tenants DROP COLUMN feed_id")
