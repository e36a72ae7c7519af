"""A push waits for a lock only as long as others can wait for the push.

Pushes share a transaction. Who keeps one document locked must not hold up those that want others:
after a quarter of a second ``feed.push`` gives up, and the service finds out which of the pushes
are concerned. The clock is another matter: who holds it is about to commit, and all wait for it.

The settings hold while the functions run, at no cost that could be measured.
"""

from alembic import op

revision = "tenant_0006"
down_revision = "tenant_0005"
branch_labels = None
depends_on = None

_PUSH = (
    "feed.push(uuid, uuid[], timestamptz[], uuid[], uuid[], text[], text[], text[], uuid[], "
    "boolean[])"
)
_FLUSH = "feed.flush(uuid)"


def upgrade() -> None:
    op.execute(f"ALTER FUNCTION {_PUSH} SET lock_timeout = '250ms'")
    op.execute(f"ALTER FUNCTION {_FLUSH} SET lock_timeout = '2s'")


def downgrade() -> None:
    op.execute(f"ALTER FUNCTION {_PUSH} RESET lock_timeout")
    op.execute(f"ALTER FUNCTION {_FLUSH} RESET lock_timeout")
