"""The tables of the documents, and the feed that is stamped at commit: a topic a file."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None

FOLDER = Path(__file__).with_suffix("")
# In the order in which they are made: each needs some of those before it.
TOPICS = (
    "files",
    "documents",
    "history",
    "direct_uploads",
    "idempotency",
    "clock",
    "stamps",
    "feed",
    "reconcile",
    "push",
    "gc",
)
TABLES = (
    "feed_entries",
    "feed_forks",
    "tenant_clock",
    "idempotency_keys",
    "direct_uploads",
    "collected_changes",
    "document_history",
    "documents",
    "files",
)


def statements(topic: str) -> list[str]:
    """Those of a file. Each ends with a semicolon that an empty line or the file's end follows."""
    script = (FOLDER / f"{topic}.sql").read_text(encoding="utf-8")
    return script.rstrip().removesuffix(";").split(";\n\n")


def upgrade() -> None:
    for topic in TOPICS:
        for statement in statements(topic):
            op.execute(statement)


def downgrade() -> None:
    for table in TABLES:
        op.execute(f"DROP TABLE {table} CASCADE")
    op.execute("DROP SCHEMA feed CASCADE")
