"""Whether a version was ever written is answered by its document, also of collected versions."""

from alembic import op

revision = "tenant_0008"
down_revision = "tenant_0007"
branch_labels = None
depends_on = None

# Concurrently, so that pushes go on meanwhile; an attempt that failed has left an invalid index.
_INDEX = [
    "DROP INDEX CONCURRENTLY IF EXISTS collected_changes_document_idx",
    "CREATE INDEX CONCURRENTLY collected_changes_document_idx "
    "ON collected_changes (tenant_id, document_id, applied_at)",
]


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = 0")
        op.execute("SET statement_timeout = 0")
        for statement in _INDEX:
            op.execute(statement)
        op.execute("SET lock_timeout = '5s'")
        op.execute("SET statement_timeout = '5min'")


def downgrade() -> None:
    op.execute("DROP INDEX collected_changes_document_idx")
