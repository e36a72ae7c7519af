"""What the server has, asked of its database."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from syncapi.client.folder.model import Base
from syncapi.client.replica.conflicts import FIELDS

_LIVE = """
SELECT document.id, document.folder, document.filename, entry.updated_at,
  trim(file.sha256_hash) AS sha256
FROM documents document
JOIN feed_entries entry ON entry.tenant_id = document.tenant_id AND entry.id = document.id
JOIN files file ON file.tenant_id = document.tenant_id AND file.id = document.file_id
WHERE document.tenant_id = $1 AND NOT document.is_deleted
"""
_IN_FOLDER = """
SELECT id FROM documents
WHERE tenant_id = $1 AND folder = $2 AND is_deleted = $3 ORDER BY filename, id
"""
_TIME = "SELECT last FROM tenant_clock WHERE tenant_id = $1"
_VERSIONS = """
SELECT version.id, version.updated_at, version.is_deleted, trim(file.sha256_hash) AS sha256,
  concat_ws('/', nullif(version.folder, ''), version.filename) AS path
FROM (
  SELECT id, updated_at, is_deleted, file_id, folder, filename FROM documents WHERE tenant_id = $1
  UNION SELECT document_id, updated_at, is_deleted, file_id, folder, filename
  FROM document_history
  WHERE tenant_id = $1
) version
JOIN files file ON file.tenant_id = $1 AND file.id = version.file_id
"""
_TWICE = """
SELECT change_id, count(*) AS times FROM document_history
WHERE tenant_id = $1 AND change_id IS NOT NULL GROUP BY change_id HAVING count(*) > 1
"""
_COLLECT = "SELECT feed.collect_tombstones($1, interval '0')"
_HISTORY = """
SELECT version.document_id, version.updated_at, version.is_deleted, version.change_id,
  version.folder, version.filename, version.mime_type, trim(file.sha256_hash) AS content
FROM document_history version
JOIN files file ON file.tenant_id = version.tenant_id AND file.id = version.file_id
WHERE version.tenant_id = $1 ORDER BY version.document_id, version.updated_at
"""


@dataclass(frozen=True, slots=True)
class LiveDocument:
    id: UUID
    path: str
    sha256: str
    version: datetime


@dataclass(frozen=True, slots=True)
class Version:
    id: UUID
    version: datetime
    is_deleted: bool
    sha256: str
    path: str


@dataclass(frozen=True, slots=True)
class PastVersion:
    """A version of the history.

    Attributes:
        change_id: of the pushed change that made it.
        values: its fields, as `Values`.
    """

    id: UUID
    version: datetime
    is_deleted: bool
    change_id: UUID | None
    values: dict[str, object]


class Truth:
    """The server's own tables.

    Attributes:
        documents_of: by SHA-256 of bytes, the documents that were ever found to have had them.
    """

    def __init__(self, connection: asyncpg.Connection, tenant_id: UUID) -> None:
        self._connection = connection
        self._tenant_id = tenant_id
        self.documents_of: dict[str, set[UUID]] = defaultdict(set)
        self._deleted_at: dict[UUID, datetime] = {}
        self._versions: set[Version] = set()

    def ask(self, connection: asyncpg.Connection) -> None:
        """Go on with another connection."""
        self._connection = connection

    async def close(self) -> None:
        await self._connection.close()

    async def time(self) -> datetime:
        """By the clock that gives out versions, which may be ahead of the time of day."""
        now: datetime = await self._connection.fetchval(_TIME, self._tenant_id)
        return now

    async def live(self) -> list[LiveDocument]:
        rows = await self._connection.fetch(_LIVE, self._tenant_id)
        return [
            LiveDocument(
                UUID(str(row["id"])),
                "/".join(filter(None, (row["folder"], row["filename"]))),
                row["sha256"],
                row["updated_at"],
            )
            for row in rows
        ]

    async def in_folder(self, folder: str, *, is_deleted: bool) -> list[UUID]:
        """The documents of a folder, by name."""
        rows = await self._connection.fetch(_IN_FOLDER, self._tenant_id, folder, is_deleted)
        return [UUID(str(row["id"])) for row in rows]

    async def versions(self) -> list[Version]:
        """Every version of every document that was not erased."""
        rows = await self._connection.fetch(_VERSIONS, self._tenant_id)
        versions = [Version(UUID(str(row["id"])), *tuple(row)[1:]) for row in rows]
        self._versions.update(versions)
        for version in versions:
            self.documents_of[version.sha256].add(version.id)
            if version.is_deleted:
                last = self._deleted_at.get(version.id, version.version)
                self._deleted_at[version.id] = max(last, version.version)
        return versions

    async def history(self) -> list[PastVersion]:
        """Every version of every document that was not erased, by document and time."""
        rows = await self._connection.fetch(_HISTORY, self._tenant_id)
        return [
            PastVersion(
                UUID(str(row["document_id"])),
                row["updated_at"],
                row["is_deleted"],
                row["change_id"] and UUID(str(row["change_id"])),
                {name: row[name] for name in FIELDS},
            )
            for row in rows
        ]

    async def pushed_twice(self) -> list[str]:
        """Changes that were applied more than once."""
        rows = await self._connection.fetch(_TWICE, self._tenant_id)
        return [f"{row['change_id']} was applied {row['times']} times" for row in rows]

    async def void(self) -> None:
        """Have every client synchronise anew, as an operator may."""
        await self._connection.execute("SELECT feed.void_cursors()")

    async def collect_tombstones(self) -> None:
        """Forget every deletion, as happens to those that are old."""
        await self._connection.execute(_COLLECT, self._tenant_id)

    def was_deleted(self, entry: Base) -> bool:
        """Whether the document was ever found to be deleted after an entry's version."""
        deleted_at = self._deleted_at.get(entry.id)
        return deleted_at is not None and (entry.version is None or deleted_at > entry.version)

    def was_followed_by(self, entry: Base, sha256: str, there: Iterable[Version]) -> bool:
        """Whether the server has lost a later version of the document that had these bytes.

        Args:
            entry: of the earlier version.
            sha256: hex.
            there: what the server has not lost.
        """
        return any(
            version.id == entry.id and version.sha256 == sha256
            for version in self._versions.difference(there)
            if entry.version is not None and version.version > entry.version
        )

    async def kept(self) -> set[str]:
        """SHA-256 of the bytes of every document and of every version of the history."""
        return {version.sha256 for version in await self.versions()}
