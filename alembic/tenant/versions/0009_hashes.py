"""The hashes of a file are hashes: in lower-case hex, of their lengths.

Clients find and name what they hold by them. Rows that were written otherwise before stay as they
are, since only the bytes themselves say what the hashes should be: where there are such rows, the
constraint is not validated, and only what is written from here on is held against it.
"""

from alembic import op

revision = "tenant_0009"
down_revision = "tenant_0008"
branch_labels = None
depends_on = None

_DIGITS = {"md5_hash": 32, "sha256_hash": 64}

# A step that was stopped is done again.
_ADD = """
    ALTER TABLE files DROP CONSTRAINT IF EXISTS files_{column}_check,
    ADD CONSTRAINT files_{column}_check CHECK ({column} ~ '^[0-9a-f]{{{digits}}}$') NOT VALID
"""
# While the rows are looked at, others read and write.
_VALIDATE = """
    DO $validate$ BEGIN
      ALTER TABLE files VALIDATE CONSTRAINT files_{column}_check;
    EXCEPTION WHEN check_violation THEN
      RAISE WARNING 'files have a {column} that is none; they stay as they are';
    END $validate$
"""


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("SET statement_timeout = 0")
        for statement in (_ADD, _VALIDATE):
            for column, digits in _DIGITS.items():
                op.execute(statement.format(column=column, digits=digits))
        op.execute("SET statement_timeout = '5min'")


def downgrade() -> None:
    for column in _DIGITS:
        op.execute(f"ALTER TABLE files DROP CONSTRAINT files_{column}_check")
