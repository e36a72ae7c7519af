"""Every version that was ever committed, also those that the history has forgotten since."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

import asyncpg

from soak.stories import FIELDS, Json

# Written in the transaction of what it records, so a fail-over loses both or neither.
_TRAIL = """
CREATE TABLE IF NOT EXISTS soak_trail (
  tenant_id uuid, document_id uuid, updated_at timestamptz, version jsonb,
  PRIMARY KEY (tenant_id, document_id, updated_at));
CREATE TABLE IF NOT EXISTS soak_collected (
  tenant_id uuid, document_id uuid, updated_at timestamptz);

CREATE OR REPLACE FUNCTION soak_keep_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO public.soak_trail VALUES (
    NEW.tenant_id, NEW.document_id, NEW.updated_at, to_jsonb(NEW))
  ON CONFLICT (tenant_id, document_id, updated_at) DO UPDATE SET version = excluded.version;
  RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER soak_trail AFTER INSERT OR UPDATE ON document_history
  FOR EACH ROW EXECUTE FUNCTION soak_keep_version();

CREATE OR REPLACE FUNCTION soak_keep_tombstone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO public.soak_collected VALUES (OLD.tenant_id, OLD.id, OLD.updated_at);
  RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER soak_collected AFTER DELETE ON feed_entries
  FOR EACH ROW EXECUTE FUNCTION soak_keep_tombstone();
"""
_VERSIONS = "SELECT updated_at, version FROM soak_trail WHERE tenant_id = $1 ORDER BY updated_at"
_HISTORY = """
SELECT updated_at, to_jsonb(history) AS version FROM document_history history
WHERE tenant_id = $1 ORDER BY updated_at
"""
_COLLECTED = "SELECT document_id, updated_at FROM soak_collected WHERE tenant_id = $1"
_LEDGER = """
SELECT change_id::text FROM document_history WHERE tenant_id = $1 AND change_id IS NOT NULL
UNION ALL SELECT change_id::text FROM collected_changes WHERE tenant_id = $1
"""
_FILES = "SELECT id::text FROM files WHERE tenant_id = $1"


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a document, and the one that it took the place of."""

    updated_at: datetime
    fields: Mapping[str, str]
    is_deleted: bool
    change_id: str | None
    previous: "Version | None" = field(repr=False)


@dataclass(frozen=True, slots=True)
class Trail:
    """A tenant's past.

    Attributes:
        versions: by document, in their order.
        collected: deletions that were forgotten since.
        ledger: how often the server holds each change to have been applied.
        files: ids of all contents.
    """

    versions: Mapping[UUID, Sequence[Version]]
    collected: frozenset[tuple[UUID, datetime]]
    ledger: Counter[str]
    files: frozenset[str]
    changes: Mapping[str, Sequence[Version]] = field(init=False)

    def __post_init__(self) -> None:
        changes: dict[str, list[Version]] = {}
        for versions in self.versions.values():
            for version in versions:
                if version.change_id is not None:
                    changes.setdefault(version.change_id, []).append(version)
        object.__setattr__(self, "changes", changes)

    def version(self, document: UUID, updated_at: datetime | None) -> Version | None:
        """One version, if it was ever committed and not lost."""
        found = (v for v in self.versions.get(document, ()) if v.updated_at == updated_at)
        return next(found, None)

    def was_ever_deleted(self, document: UUID) -> bool:
        return any(version.is_deleted for version in self.versions.get(document, ()))


async def keep_trail(connection: asyncpg.Connection) -> None:
    """Begin to record, in a database that is the run's alone."""
    await connection.execute(_TRAIL)


async def read_trail(
    connection: asyncpg.Connection, tenant: UUID, *, is_kept: bool = True
) -> Trail:
    """Read the past of a tenant at rest; of its history alone where no trail `is_kept`."""
    rows = await connection.fetch(_VERSIONS if is_kept else _HISTORY, tenant)
    collected = await connection.fetch(_COLLECTED, tenant) if is_kept else ()
    ledger = await connection.fetch(_LEDGER, tenant)
    files = await connection.fetch(_FILES, tenant)
    return Trail(
        _versions(rows),
        frozenset((UUID(str(id_)), at.astimezone(UTC)) for id_, at in collected),
        Counter(row[0] for row in ledger),
        frozenset(row[0] for row in files),
    )


def _versions(rows: Sequence[asyncpg.Record]) -> dict[UUID, list[Version]]:
    versions: dict[UUID, list[Version]] = {}
    for updated_at, text in rows:
        row: Json = json.loads(text)
        earlier = versions.setdefault(UUID(row["document_id"]), [])
        earlier.append(
            Version(
                updated_at.astimezone(UTC),
                {name: row[name] for name in FIELDS},
                row["is_deleted"],
                row["change_id"],
                earlier[-1] if earlier else None,
            )
        )
    return versions
