"""Pushes know when each file that they name was last promised to somebody.

One that was promised longer ago than files are kept may have no bytes any more, where a backup has
brought its row back. See docs/decisions/0010.
"""

from types import ModuleType

from alembic import context

revision = "tenant_0012"
down_revision = "tenant_0011"
branch_labels = None
depends_on = None

# (function, what it says, what it says from here on). A client can read no time outside of these.
_AMENDMENTS = (
    (
        "feed.known",
        "SELECT id, md5_hash, sha256_hash, file_size FROM public.files",
        "SELECT id, md5_hash, sha256_hash, file_size, updated_at FROM public.files",
    ),
    (
        "feed.known",
        "SELECT 'file', id, NULL, id,",
        "SELECT 'file', id, least(greatest(updated_at, 'epoch'), now()), id,",
    ),
)


def _earlier(revision: str) -> ModuleType:
    """A migration of before, whose helpers serve here too."""
    return context.script.get_revision(revision).module


def upgrade() -> None:
    for function, old, new in _AMENDMENTS:
        _earlier("tenant_0005").amend(function, old, new)


def downgrade() -> None:
    for function, old, new in reversed(_AMENDMENTS):
        _earlier("tenant_0005").amend(function, new, old)
