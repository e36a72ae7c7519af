"""A version names one write, whatever was lost, and the server says which versions it knows.

Clocks that are ahead go on a microsecond at a time. Two histories that parted while theirs was
ahead gave out the same stamps, and a version of the lost one was taken for one of the present.
Where a history begins the clock now leaps, to where no other history of the feed has been. See
docs/decisions/0017 and 0020.
"""

from types import ModuleType

from alembic import context, op

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

# More than an hour of a thousand commits a second, each a microsecond, and more than two servers'
# clocks differ. At random, since siblings leap from the same place.
_LEAP = """
    CREATE FUNCTION feed.leap() RETURNS interval LANGUAGE sql VOLATILE
      AS $$ SELECT interval '10 s' * (1 + random()) $$
"""

# (function, what it says, what it says from here on)
_AMENDMENTS = (
    (
        "feed.fork",
        "lineage = feed.new_lineage(), place = here",
        "lineage = feed.new_lineage(), place = here, "
        "last = greatest(last, feed.wall_clock()) + feed.leap()",
    ),
    (
        "feed.void",
        "feed.wall_clock() + interval '1 hour')",
        "feed.wall_clock() + interval '1 hour') + feed.leap()",
    ),
)


def _earlier(revision: str) -> ModuleType:
    """A migration of before, whose helpers serve here too."""
    return context.script.get_revision(revision).module


def upgrade() -> None:
    _earlier("tenant_0002").concurrently(_INDEX)
    op.execute(_LEAP)
    for function, old, new in _AMENDMENTS:
        _earlier("tenant_0005").amend(function, old, new)


def downgrade() -> None:
    for function, old, new in _AMENDMENTS:
        _earlier("tenant_0005").amend(function, new, old)
    op.execute("DROP FUNCTION feed.leap()")
    op.execute("DROP INDEX collected_changes_document_idx")
