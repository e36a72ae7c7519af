"""Garbage: what may be deleted, counted, or deleted a batch at a time.

Functions that delete return how many they deleted: fewer than ``most`` means that none is left.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from syncapi.server.postgres.databases import TenantConnection
from syncapi.server.postgres.feed_identity import RECENT_FORKS

_COUNT_TOMBSTONES = """
SELECT count(*) FROM feed_entries
WHERE tenant_id = $1 AND is_deleted AND updated_at < feed.wall_clock() - $2::interval
"""
_COLLECT_TOMBSTONES = "SELECT feed.collect_tombstones($1, $2, $3)"

# $2 age, $3 number of versions; NULL for no limit. Never the newest version of a live document.
_BEYOND = """
  SELECT ranked.document_id, ranked.updated_at
  FROM (SELECT document_id, updated_at,
               row_number() OVER (PARTITION BY document_id ORDER BY updated_at DESC) AS rank
        FROM document_history
        WHERE tenant_id = $1 {page}) ranked
  LEFT JOIN documents document
    ON document.tenant_id = $1 AND document.id = ranked.document_id AND NOT document.is_deleted
  WHERE (ranked.rank > $3 OR ranked.updated_at < now() - $2::interval)
    AND NOT (ranked.rank = 1 AND document.id IS NOT NULL)
"""
_COUNT_VERSIONS = f"SELECT count(*) FROM ({_BEYOND.format(page='')}) beyond"  # noqa: S608

# One page of documents after $4. The ledger remembers each version, also one that no push has
# made: a client that has it must not take it for lost. Old versions are deleted first: if a batch
# ends within a document, its newest versions are left.
_COLLECT_VERSIONS = f"""
WITH page AS MATERIALIZED (
  SELECT DISTINCT document_id FROM document_history
  WHERE tenant_id = $1 AND document_id > $4 ORDER BY document_id LIMIT $5
), beyond AS MATERIALIZED (
  {_BEYOND.format(page="AND document_id IN (SELECT document_id FROM page)")}
  ORDER BY ranked.document_id, ranked.updated_at LIMIT $5
), gone AS (
  DELETE FROM document_history AS history USING beyond
  WHERE history.tenant_id = $1 AND history.document_id = beyond.document_id
    AND history.updated_at = beyond.updated_at
  RETURNING history.document_id, history.updated_at, history.change_id, history.file_id
), kept AS (
  INSERT INTO collected_changes (tenant_id, change_id, document_id, applied_at)
  SELECT $1, coalesce(change_id, gen_random_uuid()), document_id, updated_at FROM gone
  ON CONFLICT DO NOTHING
)
SELECT (SELECT count(*) FROM gone) AS collected,
       (SELECT feed.renew_files($1, array_agg(DISTINCT file_id)) FROM gone),
       (SELECT document_id FROM page ORDER BY document_id DESC LIMIT 1) AS last
"""  # noqa: S608 - only our own text is put in

# For two tables that differ only in names: the rows that are older than $2.
_OLD = "FROM {table} WHERE tenant_id = $1 AND {since} < now() - $2::interval"
_COUNT_OLD = f"SELECT count(*) {_OLD}"
_COLLECT_OLD = f"""
DELETE FROM {{table}} WHERE tenant_id = $1 AND ({{key}}) IN (
  SELECT {{key}} {_OLD} ORDER BY {{since}} LIMIT $3 FOR UPDATE SKIP LOCKED)
"""  # noqa: S608 - only our own text is put in
_CHANGES = {"table": "collected_changes", "key": "change_id", "since": "collected_at"}
_KEYS = {"table": "idempotency_keys", "key": "user_id, key", "since": "created_at"}

# If the feed left a history, this database may be a copy, and that history may go on in another.
# The other database may need what was kept at the fork and what was set free here since; two days
# allow for clocks, uploads and processes that lag behind. A clock that was ahead does not show
# when the fork was. A dry run notes no fork, so the fork that the next tick would make counts too.
_FORKS = f"""
WITH fork AS MATERIALIZED (
  SELECT forked_at, left_at FROM {RECENT_FORKS}
  UNION ALL
  SELECT last, now() FROM tenant_clock WHERE tenant_id = $1 AND place <> feed.place())
"""  # noqa: S608 - only our own text is put in
_MAYBE_ELSEWHERE = """EXISTS (
  SELECT FROM fork
  WHERE fork.forked_at > fork.left_at
     OR {time} >= fork.forked_at - {age}::interval - interval '2 days')"""

# $2 age, $3 whether to keep what another database may need
_ABANDONED = f"""
FROM direct_uploads WHERE tenant_id = $1 AND expires_at < now() - $2::interval
  AND NOT ($3 AND {_MAYBE_ELSEWHERE.format(time="expires_at", age="$2")})
"""
_COUNT_UPLOADS = f"{_FORKS} SELECT count(*) {_ABANDONED}"
# The age is checked again after the wait for a row, since the upload may have been renewed
# meanwhile.
_COLLECT_UPLOADS = f"""
{_FORKS}
DELETE FROM direct_uploads
WHERE tenant_id = $1 AND expires_at < now() - $2::interval AND id IN (
  SELECT id {_ABANDONED} ORDER BY expires_at LIMIT $4)
RETURNING s3_path, s3_upload_id, file_id IS NULL AS is_pending
"""  # noqa: S608 - only our own text is put in

# A page of files after $3, and those of them that nothing refers to; $5 is what $3 is for uploads.
_UNREFERENCED = f"""
{_FORKS}, page AS MATERIALIZED (
  SELECT id, updated_at, file_size FROM files
  WHERE tenant_id = $1 AND id > $3 ORDER BY id LIMIT $4
), unreferenced AS (
  SELECT id, file_size FROM page
  WHERE updated_at < now() - $2::interval
    AND NOT ($5 AND {_MAYBE_ELSEWHERE.format(time="page.updated_at", age="$2")})
    AND NOT EXISTS (SELECT FROM documents WHERE tenant_id = $1 AND file_id = page.id)
    AND NOT EXISTS (SELECT FROM document_history WHERE tenant_id = $1 AND file_id = page.id)
)
SELECT (SELECT id FROM page ORDER BY id DESC LIMIT 1) AS last,
       coalesce((SELECT array_agg(id) FROM unreferenced), '{{}}') AS ids,
       coalesce((SELECT sum(file_size) FROM unreferenced), 0)::bigint AS bytes
"""  # noqa: S608 - only our own text is put in

# One statement is one snapshot: an upload that becomes a file is always in one of the two.
_KNOWN_PATHS = """
SELECT s3_path FROM files WHERE tenant_id = $1 AND s3_path = ANY($2)
UNION ALL
SELECT s3_path FROM direct_uploads
WHERE tenant_id = $1 AND file_id IS NULL AND s3_path = ANY($2)
"""
_KNOWN_UPLOADS = """
SELECT s3_upload_id FROM direct_uploads
WHERE tenant_id = $1 AND file_id IS NULL AND s3_upload_id = ANY($2)
"""
_LISTED_ELSEWHERE = f"""
{_FORKS}
SELECT name FROM unnest($2::text[], $3::timestamptz[]) AS listed (name, made_at)
WHERE {_MAYBE_ELSEWHERE.format(time="made_at", age="$4")}
"""  # noqa: S608 - only our own text is put in


@dataclass(frozen=True, slots=True)
class VersionLimits:
    """How much of the history is kept; None for no limit."""

    age: timedelta | None
    versions: int | None


@dataclass(frozen=True, slots=True)
class AbandonedUpload:
    """What to delete from S3 after the row."""

    s3_path: str
    s3_upload_id: str | None


@dataclass(frozen=True, slots=True)
class Unreferenced:
    """A page of files.

    Attributes:
        last: the last one looked at; None if there were none.
        ids: those that nothing refers to.
        file_bytes: of these together.
    """

    last: UUID | None
    ids: Sequence[UUID]
    file_bytes: int


async def count_tombstones(connection: TenantConnection, age: timedelta) -> int:
    return await _fetch_number(connection, _COUNT_TOMBSTONES, age)


async def collect_tombstones(tx: TenantConnection, age: timedelta, most: int) -> int:
    """Raise the floor and delete, so that a cursor that would miss a deletion is refused."""
    return await _fetch_number(tx, _COLLECT_TOMBSTONES, age, most)


async def count_versions(connection: TenantConnection, limits: VersionLimits) -> int:
    return await _fetch_number(connection, _COUNT_VERSIONS, limits.age, limits.versions)


async def collect_versions(
    tx: TenantConnection, limits: VersionLimits, after: UUID, most: int
) -> tuple[int, UUID | None]:
    """Delete versions of the documents after ``after``.

    Returns:
        How many were deleted, and the last document that was looked at, None for none. If ``most``
        were deleted, the same documents may have more.
    """
    row = await tx.driver.fetchrow(
        _COLLECT_VERSIONS, tx.tenant_id, limits.age, limits.versions, after, most
    )
    return row["collected"], row["last"]


async def count_changes(connection: TenantConnection, age: timedelta) -> int:
    return await _fetch_number(connection, _COUNT_OLD.format(**_CHANGES), age)


async def collect_changes(tx: TenantConnection, age: timedelta, most: int) -> int:
    """Forget versions that left the history before, and the ids of the changes that made them."""
    return await _delete(tx, _COLLECT_OLD.format(**_CHANGES), age, most)


async def count_keys(connection: TenantConnection, age: timedelta) -> int:
    return await _fetch_number(connection, _COUNT_OLD.format(**_KEYS), age)


async def collect_keys(tx: TenantConnection, age: timedelta, most: int) -> int:
    return await _delete(tx, _COLLECT_OLD.format(**_KEYS), age, most)


async def count_uploads(connection: TenantConnection, age: timedelta, *, is_cautious: bool) -> int:
    return await _fetch_number(connection, _COUNT_UPLOADS, age, is_cautious)


async def collect_uploads(
    tx: TenantConnection, age: timedelta, most: int, *, is_cautious: bool
) -> tuple[int, list[AbandonedUpload]]:
    """Delete the rows of uploads; return how many, and the uploads that were never completed."""
    rows = await tx.driver.fetch(_COLLECT_UPLOADS, tx.tenant_id, age, is_cautious, most)
    pending = [row for row in rows if row["is_pending"]]
    return len(rows), [AbandonedUpload(row["s3_path"], row["s3_upload_id"]) for row in pending]


async def unreferenced(
    connection: TenantConnection, age: timedelta, after: UUID, most: int, *, is_cautious: bool
) -> Unreferenced:
    """Look at ``most`` files after ``after``."""
    row = await connection.driver.fetchrow(
        _UNREFERENCED, connection.tenant_id, age, after, most, is_cautious
    )
    return Unreferenced(row["last"], row["ids"], row["bytes"])


async def known_paths(connection: TenantConnection, keys: Sequence[str]) -> set[str]:
    """The keys that a file or a pending upload has."""
    rows = await connection.driver.fetch(_KNOWN_PATHS, connection.tenant_id, keys)
    return {row["s3_path"] for row in rows}


async def known_uploads(connection: TenantConnection, upload_ids: Sequence[str]) -> set[str]:
    """The multipart uploads that are pending."""
    rows = await connection.driver.fetch(_KNOWN_UPLOADS, connection.tenant_id, upload_ids)
    return {row["s3_upload_id"] for row in rows}


async def maybe_elsewhere(
    connection: TenantConnection, made_at: Mapping[str, datetime], age: timedelta
) -> set[str]:
    """The names that a database in which an older history goes on may know."""
    rows = await connection.driver.fetch(
        _LISTED_ELSEWHERE, connection.tenant_id, list(made_at), list(made_at.values()), age
    )
    return {row["name"] for row in rows}


async def _fetch_number(connection: TenantConnection, query: str, *values: object) -> int:
    return int(await connection.driver.fetchval(query, connection.tenant_id, *values))


async def _delete(tx: TenantConnection, statement: str, age: timedelta, most: int) -> int:
    tag = await tx.driver.execute(statement, tx.tenant_id, age, most)
    return int(str(tag).rpartition(" ")[2])  # the tag is, say, "DELETE 5"
