"""The state of a database's schema, and the way to the newest one.

Two trees of Alembic migrations: ``control`` (tenants, memberships) and ``tenant`` (documents and
the feed). They keep separate version tables, so both can live in one database.
"""

import enum
import io
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from syncapi.server.postgres.engines import CONNECT_TIMEOUT
from syncapi.server.postgres.failures import LOCK_NOT_AVAILABLE, QUERY_CANCELED, sqlstate

LOCK_TIMEOUT = "5s"
STATEMENT_TIMEOUT = "5min"


class Tree(enum.StrEnum):
    CONTROL = "control"
    TENANT = "tenant"


@dataclass(frozen=True, slots=True)
class Target:
    """One tree on one database."""

    tree: Tree
    database: str
    url: str

    @property
    def label(self) -> str:
        return f"{self.database} ({self.tree})"


def scripts_folder() -> Path:
    """The folder of both trees: in the package if that is installed, else in the repository."""
    package = Path(__file__).parents[2]
    packaged = package / "_alembic"
    return packaged if packaged.is_dir() else package.parents[1] / "alembic"


def _config(
    target: Target,
    output: io.StringIO | None = None,
    lock_timeout: str = LOCK_TIMEOUT,
    statement_timeout: str = STATEMENT_TIMEOUT,
) -> Config:
    config = Config(output_buffer=output)
    config.set_main_option("script_location", str(scripts_folder()))
    config.set_main_option("version_locations", str(scripts_folder() / target.tree / "versions"))
    config.set_main_option("path_separator", "newline")
    config.attributes["tree"] = target.tree.value
    config.attributes["url"] = target.url
    config.attributes["lock_timeout"] = lock_timeout
    config.attributes["statement_timeout"] = statement_timeout
    return config


def head(target: Target) -> str:
    """The newest revision that this release knows."""
    newest = ScriptDirectory.from_config(_config(target)).get_current_head()
    if newest is None:
        raise LookupError(f"no migrations found in {scripts_folder()}")
    return newest


def is_known(target: Target, revision: str | None) -> bool:
    """Whether this release has the migrations that lead to `revision`."""
    scripts = ScriptDirectory.from_config(_config(target)).walk_revisions()
    return revision in {None, *(script.revision for script in scripts)}


async def current(target: Target) -> str | None:
    """The revision that the database is at; None for a database without our tables."""
    connection = await asyncpg.connect(target.url, timeout=CONNECT_TIMEOUT)
    try:
        table = f"alembic_version_{target.tree}"
        if await connection.fetchval("SELECT to_regclass($1)", table) is None:
            return None
        revision: str | None = await connection.fetchval(f"SELECT version_num FROM {table}")  # noqa: S608
        return revision
    finally:
        await connection.close()


def upgrade(
    target: Target,
    revision: str = "head",
    *,
    lock_timeout: str = LOCK_TIMEOUT,
    statement_timeout: str = STATEMENT_TIMEOUT,
) -> None:
    """Migrate the database up to `revision`. Runs an event loop of its own."""
    config = _config(target, None, lock_timeout, statement_timeout)
    command.upgrade(config, revision)


def downgrade(target: Target, revision: str = "base", *, lock_timeout: str = LOCK_TIMEOUT) -> None:
    """Take the database back to `revision`. Runs an event loop of its own."""
    command.downgrade(_config(target, lock_timeout=lock_timeout), revision)


def upgrade_sql(target: Target, start: str | None) -> str:
    """The SQL that takes a database from revision `start` to the newest; nothing is run."""
    output = io.StringIO()
    command.upgrade(_config(target, output), f"{start or 'base'}:head", sql=True)
    return output.getvalue()


def why_stopped(error: BaseException) -> str | None:
    """Why a time-out stopped a migration, as a message for operators; None for other errors."""
    stopped = {
        LOCK_NOT_AVAILABLE: f"another session kept it waiting for a lock for {LOCK_TIMEOUT}",
        QUERY_CANCELED: f"a statement took longer than {STATEMENT_TIMEOUT}, or was cancelled",
    }.get(sqlstate(error) or "")
    if stopped is None:
        return None
    return (
        f"{stopped}. Nothing is half done: each migration is a transaction, and those before it "
        "are committed. Find old transactions in pg_stat_activity (xact_start), and when they "
        "have ended, run `syncapi migrate` again"
    )


async def tenant_databases(control_url: str) -> list[str]:
    """The names of the databases that hold tenants, as the control database has them."""
    connection = await asyncpg.connect(control_url, timeout=CONNECT_TIMEOUT)
    try:
        rows = await connection.fetch("SELECT DISTINCT database FROM tenants ORDER BY database")
        return [row["database"] for row in rows]
    finally:
        await connection.close()
