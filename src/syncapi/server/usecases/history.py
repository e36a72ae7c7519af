"""The history of a document: its versions, and how one is restored."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from uuid import UUID

from syncapi.protocol.documents import Document
from syncapi.protocol.history import DocumentVersion, NamedVersion, UnknownVersion
from syncapi.server.domain.access import TenantScope
from syncapi.server.domain.errors import Conflict, NotFound
from syncapi.server.domain.idempotency import keyed
from syncapi.server.domain.version_conditions import UNCONDITIONAL, VersionCondition
from syncapi.server.postgres import documents, files
from syncapi.server.postgres import history as store
from syncapi.server.postgres.databases import Databases, TenantConnection
from syncapi.server.postgres.files import StoredFile
from syncapi.server.postgres.history import KeptVersion
from syncapi.server.usecases.access import Rights
from syncapi.server.usecases.idempotency import once
from syncapi.server.usecases.missing_bytes import Looks
from syncapi.server.usecases.writes import Writes


class History:
    """Reads versions, and restores them as new changes."""

    def __init__(self, databases: Databases, rights: Rights, looks: Callable[[], Looks]) -> None:
        """Take the parts; ``looks`` makes an object that looks for the bytes of a version."""
        self._databases = databases
        self._writes = Writes(databases, rights)
        self._looks = looks

    async def versions(
        self, scope: TenantScope, document_id: UUID, *, before: datetime | None, most: int
    ) -> tuple[Sequence[DocumentVersion], bool]:
        """At most `most` versions before a time, newest first, and whether there are older ones.

        Raises:
            NotFound: there never was such a document, or it was erased with its history.
        """
        async with self._databases.reading(scope) as connection:
            found = await store.versions(connection, document_id, before=before, most=most + 1)
        if not found and before is None:
            raise NotFound("There is no such document, or its history was erased with it.")
        return found[:most], len(found) > most

    async def unknown(
        self, scope: TenantScope, versions: Sequence[NamedVersion]
    ) -> list[UnknownVersion]:
        """The versions that the server does not know."""
        async with self._databases.reading(scope) as connection:
            return await store.unknown(connection, versions)

    async def restore(
        self,
        scope: TenantScope,
        document_id: UUID,
        updated_at: datetime | None,
        condition: VersionCondition = UNCONDITIONAL,
        key: str | None = None,
    ) -> Document:
        """Bring a version back as a new change, also of a deleted document.

        Without ``updated_at`` a deleted document comes back as it was. A repeat of an earlier
        request of the same user, known by its ``key``, is answered as that was.

        Raises:
            NotFound: no such document or version.
            PreconditionFailed: ``condition`` names another version than the current one.
            Conflict: the bytes of the version are gone or lost.
            IdempotencyKeyReused: the first request with this key was another one.
            Unavailable: S3 or the database is down.
        """
        tags = sorted(condition.tags or ())
        request = keyed(key, "restoreDocument", document_id, updated_at, tags)
        looks = self._looks()

        async def restore(tx: TenantConnection) -> Document:
            kept = await documents.find_locked(tx, document_id)
            version = await _version(tx, document_id, updated_at)
            file = await _file(tx, version.file_id, looks)
            if kept is None:  # hard-deleted by SQL, which leaves the history
                condition.require(None)
                added = await documents.add(
                    tx,
                    document_id,
                    folder=version.folder,
                    filename=version.filename,
                    mime_type=version.mime_type,
                    file=file,
                )
                return await documents.committed(tx, added)
            values = _columns(version)
            wanted = kept.document.model_copy(
                update={
                    **{name: values[name] for name in values if name != "file_id"},
                    "file": documents.file_info(file),
                }
            )
            if wanted == kept.document:
                return wanted
            condition.require(kept.document.updated_at)
            await documents.change(tx, document_id, values)
            return await documents.committed(tx, wanted)

        async def work(tx: TenantConnection) -> Document:
            return await once(tx, request, partial(restore, tx))

        return await looks.during(lambda: self._writes.writing(scope, work))


async def _version(
    tx: TenantConnection, document_id: UUID, updated_at: datetime | None
) -> KeptVersion:
    if updated_at is None:
        found = await store.newest(tx, document_id)
    else:
        found = await store.find(tx, document_id, updated_at)
    if found is None:
        raise NotFound("There is no such document, or it never had this version.")
    return found


async def _file(tx: TenantConnection, file_id: UUID, looks: Looks) -> StoredFile:
    file = await files.pin(tx, file_id)
    if file is None:
        raise Conflict("The bytes of this version are gone. Restore another version.")
    if await looks.lacking(tx, [file.id]):
        raise Conflict(
            "The bytes of this version are lost. Declare and send them again, then restore it."
        )
    return file


def _columns(version: KeptVersion) -> dict[str, object]:
    return {
        "folder": version.folder,
        "filename": version.filename,
        "mime_type": version.mime_type,
        "file_id": version.file_id,
        "is_deleted": False,
        "deleted_at": None,
        "deleted_by": None,
    }
