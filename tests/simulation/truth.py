"""What the server has, asked of its database."""

from dataclasses import dataclass
from uuid import UUID

import asyncpg

_LIVE = """
SELECT document.id, document.folder, document.filename, trim(file.sha256_hash) AS sha256
FROM documents document
JOIN files file ON file.tenant_id = document.tenant_id AND file.id = document.file_id
WHERE document.tenant_id = $1 AND NOT document.is_deleted
"""
_IN_FOLDER = """
SELECT id FROM documents
WHERE tenant_id = $1 AND folder = $2 AND is_deleted = $3 ORDER BY filename, id
"""
_KEPT = """
SELECT DISTINCT trim(file.sha256_hash) AS sha256
FROM files file WHERE file.tenant_id = $1 AND (
  EXISTS (SELECT FROM documents document
          WHERE document.tenant_id = $1 AND document.file_id = file.id)
  OR EXISTS (SELECT FROM document_history version
             WHERE version.tenant_id = $1 AND version.file_id = file.id))
"""


@dataclass(frozen=True, slots=True)
class LiveDocument:
    id: UUID
    path: str
    sha256: str


class Truth:
    """The server's own tables."""

    def __init__(self, connection: asyncpg.Connection, tenant_id: UUID) -> None:
        self._connection = connection
        self._tenant_id = tenant_id

    async def live(self) -> list[LiveDocument]:
        rows = await self._connection.fetch(_LIVE, self._tenant_id)
        return [
            LiveDocument(
                UUID(str(row["id"])),
                "/".join(filter(None, (row["folder"], row["filename"]))),
                row["sha256"],
            )
            for row in rows
        ]

    async def in_folder(self, folder: str, *, is_deleted: bool) -> list[UUID]:
        """The documents of a folder, by name."""
        rows = await self._connection.fetch(_IN_FOLDER, self._tenant_id, folder, is_deleted)
        return [UUID(str(row["id"])) for row in rows]

    async def kept(self) -> set[str]:
        """SHA-256 of the bytes of every document and of every version of the history."""
        rows = await self._connection.fetch(_KEPT, self._tenant_id)
        return {row["sha256"] for row in rows}
