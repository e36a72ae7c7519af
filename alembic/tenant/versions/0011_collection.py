"""The ledger of pushes is kept from the collection of their versions on, not from the push.

A version that was pushed long ago leaves the history when it is beyond its limits, when its
document was deleted perhaps, or erased. From then on the ledger alone knows the push.
"""

from types import ModuleType

from alembic import context, op

revision = "tenant_0011"
down_revision = "tenant_0010"
branch_labels = None
depends_on = None

# When a row of before was collected is not known: it counts as collected now. A migration that was
# stopped is done again.
_COLLECTED_AT = """
    ALTER TABLE collected_changes
    ADD COLUMN IF NOT EXISTS collected_at timestamptz NOT NULL DEFAULT now()
"""
_INDEX = [
    "DROP INDEX CONCURRENTLY IF EXISTS collected_changes_collected_idx",
    "CREATE INDEX CONCURRENTLY collected_changes_collected_idx "
    "ON collected_changes (tenant_id, collected_at)",
    "DROP INDEX CONCURRENTLY IF EXISTS collected_changes_applied_idx",
]


def _earlier(revision: str) -> ModuleType:
    """A migration of before, whose helpers serve here too."""
    return context.script.get_revision(revision).module


def upgrade() -> None:
    op.execute(_COLLECTED_AT)
    _earlier("tenant_0002").concurrently(_INDEX)


def downgrade() -> None:
    op.execute(
        "CREATE INDEX collected_changes_applied_idx ON collected_changes (tenant_id, applied_at)"
    )
    op.execute("ALTER TABLE collected_changes DROP collected_at")
