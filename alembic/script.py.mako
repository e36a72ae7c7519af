"""${message}."""

from alembic import op

revision = "${up_revision}"
down_revision = "${down_revision}"


# What waits for a lock holds up all that come after it, hence the time-outs. Where they are too
# short: CREATE INDEX CONCURRENTLY in `op.get_context().autocommit_block()`, UPDATE in steps.
def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '5min'")
    op.execute(...)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '5min'")
    op.execute(...)
