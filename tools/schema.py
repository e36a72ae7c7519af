"""Write alembic/*/schema.sql: the whole SQL of each tree, as its migrations make it.

    python tools/schema.py

A test holds the two in step. The text is that of the pg_dump in requirements.lock, without what
depends on its version or on the moment.
"""

import os
import re
import subprocess
import tempfile
from pathlib import Path

from syncapi.embedded.postgres import PostgresServer
from syncapi.embedded.postgres_binaries import installed
from syncapi.server.postgres.migrations import Target, Tree, upgrade

ROOT = Path(__file__).resolve().parents[1]

_HEADER = "-- The whole SQL of this tree. `make schema` makes it from the migrations."
_OBJECT = re.compile(r"^--\n-- (?:Name: .*|PostgreSQL database dump complete)\n--\n", re.MULTILINE)
_DEFAULTS = re.compile(r"^SET default_\w+ = .*;\n", re.MULTILINE)


def dump_schema(url: str) -> str:
    """What is in a migrated database, an object after the other, in the order of pg_dump."""
    dump = subprocess.run(
        [
            *(installed() / "bin" / "pg_dump", f"--dbname={url}", "--schema-only"),
            *("--no-owner", "--no-privileges", "--exclude-table=alembic_version_*"),
        ],
        env=os.environ | {"PGTZ": "UTC"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    _, *objects, _ = _OBJECT.split(_DEFAULTS.sub("", dump))
    return "\n\n".join([_HEADER, *(text.strip() for text in objects)]) + "\n"


def main() -> None:
    with (
        tempfile.TemporaryDirectory(prefix="syncapi-schema-") as folder,
        PostgresServer(Path(folder) / "postgres", durable=False) as server,
    ):
        for tree in Tree:
            url = server.create_database(tree)
            upgrade(Target(tree, tree, url))
            (ROOT / "alembic" / tree / "schema.sql").write_text(dump_schema(url), encoding="utf-8")


if __name__ == "__main__":
    main()
