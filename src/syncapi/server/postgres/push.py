"""Pushes: one statement reads all that a group of them names, and one writes all their changes.

The read (``feed.known``) locks nothing. The write (``feed.push``) locks the documents, checks that
each still has the version that was read, and is a transaction of its own or the end of one.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy.exc import DBAPIError

from syncapi.server.domain.conflict_rules import Version, Write
from syncapi.server.postgres.databases import TenantConnection
from syncapi.server.postgres.failures import (
    LOCK_NOT_AVAILABLE,
    is_lock_timeout,
    is_transient,
    sqlstate,
)

_LOCK = "SELECT id FROM documents WHERE tenant_id = $1 AND id = ANY($2) ORDER BY id FOR UPDATE"

_PIN = "SELECT id FROM files WHERE tenant_id = $1 AND id = ANY($2) ORDER BY id FOR KEY SHARE"

# Finds the rows that another transaction keeps locked, and locks the others for a moment.
_LOCKED = """
WITH document AS MATERIALIZED (
  SELECT id FROM documents WHERE tenant_id = $1 AND id = ANY($2) FOR UPDATE SKIP LOCKED
), file AS MATERIALIZED (
  SELECT id FROM files WHERE tenant_id = $1 AND id = ANY($3) FOR KEY SHARE SKIP LOCKED
)
SELECT id FROM documents
WHERE tenant_id = $1 AND id = ANY($2) AND id NOT IN (SELECT id FROM document)
UNION ALL
SELECT id FROM files
WHERE tenant_id = $1 AND id = ANY($3) AND id NOT IN (SELECT id FROM file)
"""
_COPIED = "SELECT document_id, updated_at FROM feed.copied($1, $2, $3, $4)"
# How long ago a file was promised is measured by the clock of the database.
_READ = """
SELECT known.*, CASE kind WHEN 'file' THEN now() - version END AS promised_ago
FROM feed.known($1, $2, $3, $4, $5, $6) AS known
"""
_WRITE = "SELECT stamp, written_at FROM feed.push($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"

_TAKES_CLOCK = "feed.tick("
"""The context of an error contains this in any language if the clock was being taken."""

Row = Mapping[str, Any]


class Raced(Exception):  # noqa: N818 - no failure: what was read no longer holds
    """Another transaction came between the read and the write. Nothing was written.

    Attributes:
        sqlstate: of the failure; it decides whether the transaction is run again.
    """

    def __init__(self, sqlstate: str | None) -> None:
        super().__init__("what was read no longer holds")
        self.sqlstate = sqlstate


class HeldUp(Raced):
    """Another transaction keeps locked what a push needs. Nothing was written.

    Attributes:
        by_clock: the tenant's clock is locked, for which all writes of the tenant wait.
    """

    def __init__(self, sqlstate: str, *, by_clock: bool) -> None:
        super().__init__(sqlstate)
        self.by_clock = by_clock


@dataclass(slots=True)
class State:
    """A document as the server has it.

    Attributes:
        row: the document and its file; None for one that was hard-deleted.
    """

    version: Version
    row: Row | None


@dataclass(slots=True)
class Base:
    """A version from the history."""

    updated_at: datetime
    fields: dict[str, object]


@dataclass(frozen=True, slots=True)
class Known:
    """What is needed to judge pushes, as of one moment."""

    states: dict[UUID, State]
    applied: dict[UUID, UUID]
    bases: dict[tuple[UUID, datetime], Base]
    files: dict[UUID, Row]


@dataclass(slots=True)
class PlannedWrite:
    """A write that was decided upon.

    Attributes:
        seen: the version that was read, also of a tombstone; None if there was no document.
        author: the user who pushed it.
    """

    id: UUID
    change_id: UUID
    seen: datetime | None
    author: UUID | None
    write: Write


@dataclass(frozen=True, slots=True)
class Written:
    """What a write has written.

    Attributes:
        stamp: the version of everything that was written.
        at: when the transaction began: `created_at` of what is new, `deleted_at` of what is gone.
    """

    stamp: datetime
    at: datetime


async def lock(tx: TenantConnection, ids: Collection[UUID], file_ids: Collection[UUID]) -> None:
    """Lock documents against changes, and files against deletion, by other transactions."""
    await tx.driver.execute(_LOCK, tx.tenant_id, list(ids))
    await tx.driver.execute(_PIN, tx.tenant_id, list(file_ids))


async def locked(
    connection: TenantConnection, ids: Collection[UUID], file_ids: Collection[UUID]
) -> set[UUID]:
    """The documents and files that another transaction keeps locked at this moment."""
    rows = await connection.driver.fetch(_LOCKED, connection.tenant_id, list(ids), list(file_ids))
    return {row["id"] for row in rows}


async def read(
    tx: TenantConnection,
    *,
    ids: Collection[UUID],
    change_ids: Collection[UUID],
    file_ids: Collection[UUID],
    bases: Sequence[tuple[UUID, datetime]],
) -> Known:
    """Read these documents, changes and files, and versions of documents.

    The versions in ``bases`` that are current are not looked up.
    """
    rows = await tx.driver.fetch(
        _READ,
        tx.tenant_id,
        list(ids),
        list(change_ids),
        list(file_ids),
        [document for document, _ in bases],
        [version for _, version in bases],
    )
    known = Known({}, {}, {}, {})
    for row in rows:
        match row["kind"]:
            case "state":
                known.states[row["id"]] = _make_state(row)
            case "change":
                known.applied[row["id"]] = row["reference"]
            case "file":
                known.files[row["id"]] = row
            case "base":
                base = Base(row["version"], _read_fields(row))
                known.bases[row["id"], row["version"]] = base
    return known


async def copied(
    tx: TenantConnection, versions: Sequence[tuple[UUID, datetime, datetime]]
) -> set[tuple[UUID, datetime]]:
    """The versions of documents whose later versions are all copies.

    Copies are written when something other than the document is corrected, such as its file's MD5.

    Args:
        tx: a connection of the tenant.
        versions: each as document, version, and the last later version to look at.
    """
    rows = await tx.driver.fetch(_COPIED, tx.tenant_id, *map(list, zip(*versions, strict=True)))
    return {(row["document_id"], row["updated_at"]) for row in rows}


async def write(tx: TenantConnection, planned: Sequence[PlannedWrite]) -> Written:
    """Write, and take the clock. Nothing but the commit may follow.

    It fails with a serialisation failure if what was read has changed.
    """
    fields = [one.write.fields for one in planned]
    row = await tx.driver.fetchrow(
        _WRITE,
        tx.tenant_id,
        [one.id for one in planned],
        [one.seen for one in planned],
        [one.change_id for one in planned],
        [one.author for one in planned],
        [one["folder"] for one in fields],
        [one["filename"] for one in fields],
        [one["mime_type"] for one in fields],
        [one["file_id"] for one in fields],
        [one.write.is_deleted for one in planned],
    )
    if row["stamp"] is None:
        raise LookupError("a push wrote documents, and the feed's triggers issued no stamp")
    return Written(row["stamp"], row["written_at"])


@contextmanager
def others_as_raced() -> Iterator[None]:
    """Raise `Raced` if another transaction makes a statement or the commit fail.

    Raises:
        HeldUp: the other transaction keeps a row or a whole table locked.
        Raced: the other transaction changed what was read.
    """
    try:
        yield
    except (asyncpg.PostgresError, DBAPIError) as error:
        if is_lock_timeout(error):
            by_clock = _TAKES_CLOCK in (getattr(error, "context", None) or "")
            raise HeldUp(LOCK_NOT_AVAILABLE, by_clock=by_clock) from error
        if is_transient(error):
            raise Raced(sqlstate(error)) from error
        raise


def _make_state(row: Row) -> State:
    if row["filename"] is None:
        return State(Version(row["version"], is_deleted=True, fields=None), None)
    return State(Version(row["version"], row["is_deleted"], _read_fields(row)), row)


def _read_fields(row: Row) -> dict[str, object]:
    return {
        "folder": row["folder"],
        "filename": row["filename"],
        "mime_type": row["mime_type"],
        "file_id": row["reference"],
    }
