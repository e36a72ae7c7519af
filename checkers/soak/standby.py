"""Copies of an embedded PostgreSQL: streaming standbys, and base backups."""

import os
import subprocess
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

from syncapi.embedded import PostgresServer
from syncapi.embedded.postgres_binaries import unprivileged_user
from syncapi.embedded.psql import psql
from syncapi.server.domain.feed import from_micros


def start_standby(
    primary: PostgresServer, folder: Path, port: int | None = None
) -> PostgresServer:
    """Copy the running `primary` into `folder` and start the copy as its standby."""
    standby = copy_of(primary, folder, port, "--write-recovery-conf")
    standby.start()
    return standby


def copy_of(
    primary: PostgresServer, folder: Path, port: int | None, *options: str
) -> PostgresServer:
    """A base backup of the running `primary` in `folder`: a server that is not started yet.

    Without further options of `pg_basebackup` it starts as a primary of the same timeline, which
    knows nothing of what came after it.
    """
    copy = PostgresServer(folder, port)
    folder.mkdir()
    copy.folder.remember(password=primary.password)
    subprocess.run(
        [
            *(primary.bin_dir / "pg_basebackup", f"--dbname={primary.admin_url}"),
            *(f"--pgdata={copy.cluster}", "--checkpoint=fast", *options),
        ],
        check=True,
        capture_output=True,
    )
    owner = unprivileged_user()
    if owner is not None:
        for path in (copy.cluster, *copy.cluster.rglob("*")):
            os.chown(path, *owner)
    (folder / "initialised").touch()  # so that it is not made anew
    return copy


def stop_receiving(standby: PostgresServer) -> None:
    """Cut the standby off: what its primary commits from here on does not reach it."""
    psql(standby.admin_url, "ALTER SYSTEM SET primary_conninfo = ''")
    psql(standby.admin_url, "SELECT pg_reload_conf()")


def is_receiving(standby: PostgresServer) -> bool:
    return psql(standby.admin_url, "SELECT count(*) FROM pg_stat_wal_receiver") != "0"


def has_replayed(standby: PostgresServer, position: str) -> bool:
    """Whether the standby shows all that its primary had written at a position of the log."""
    return psql(standby.admin_url, f"SELECT pg_last_wal_replay_lsn() >= '{position}'") == "t"


def written(primary: PostgresServer) -> str:
    """The position in the log up to which the primary has written."""
    return psql(primary.admin_url, "SELECT pg_current_wal_flush_lsn()")


def promote(standby: PostgresServer) -> None:
    """Make the standby the primary, and wait until it is."""
    psql(standby.admin_url, "SELECT pg_promote()")


def newest_stamps(standby: PostgresServer, database: str) -> dict[UUID, datetime]:
    """The newest stamp that the standby shows of each tenant."""
    query = "SELECT tenant_id, (extract(epoch FROM last) * 1000000)::bigint FROM tenant_clock"
    lines = (line.split("\t") for line in psql(standby.url(database), query).splitlines())
    return {UUID(tenant): from_micros(int(last)) for tenant, last in lines}


def url_of_either(url: str, other_port: int) -> str:
    """The URL that leads to whichever can write: the server of `url`, or that on the port."""
    parts = urlsplit(url)
    either = parts._replace(
        netloc=f"{parts.netloc},{parts.hostname}:{other_port}",
        query="target_session_attrs=read-write",
    )
    return urlunsplit(either)
