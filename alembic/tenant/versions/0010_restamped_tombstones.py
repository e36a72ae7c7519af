"""A tombstone that stands before its version, or is of another row than that, is astray.

Where a table was put back, or somebody wrote the feed by hand, readers that are past its stamp
never hear of the deletion. Versions of what is deleted are collected: where there is none, the
entry is all that is known.
"""

from alembic import context

revision = "tenant_0010"
down_revision = "tenant_0009"
branch_labels = None
depends_on = None

# What a deleted document was is shown in conflicts, and comes back with it.
_OTHER_THAN_ITS_VERSION = """
              document.is_deleted AND version.document_id IS NOT NULL
              AND (version.folder, version.filename, version.mime_type, version.file_id,
                   version.user_id)
                  IS DISTINCT FROM
                  (document.folder, document.filename, document.mime_type, document.file_id,
                   document.user_id)"""

# (what it says, what it says from here on)
_AMENDMENTS = (
    (">= ($1, document.id)", ">= ($1, entry.id)"),
    ("<= ($1, document.id)", "<= ($1, entry.id)"),
    ("AS version ON NOT document.is_deleted", "AS version ON true"),
    (
        "OR NOT document.is_deleted",
        "OR entry.is_deleted AND entry.updated_at < version.updated_at "
        f"OR {_OTHER_THAN_ITS_VERSION} OR NOT document.is_deleted",
    ),
)


def _amend(old: str, new: str) -> None:
    context.script.get_revision("tenant_0005").module.amend("feed.astray", old, new)


def upgrade() -> None:
    for old, new in _AMENDMENTS:
        _amend(old, new)


def downgrade() -> None:
    for old, new in _AMENDMENTS:
        _amend(new, old)
