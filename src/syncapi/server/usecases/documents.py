"""Single documents: list, read, change, delete."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from syncapi.protocol.documents import Document, DocumentChanges
from syncapi.server.domain.access import Permission, TenantScope
from syncapi.server.domain.errors import Forbidden, InvalidInput, NotFound
from syncapi.server.domain.listing import Listing
from syncapi.server.domain.version_conditions import UNCONDITIONAL, VersionCondition
from syncapi.server.postgres import documents, files, idempotency
from syncapi.server.postgres.databases import Databases, TenantConnection
from syncapi.server.postgres.feed_identity import may_be_copy
from syncapi.server.postgres.files import StoredFile
from syncapi.server.storage.s3 import ObjectStore
from syncapi.server.usecases.access import Rights
from syncapi.server.usecases.missing_bytes import Looks
from syncapi.server.usecases.object_cleanup import ObjectCleanup
from syncapi.server.usecases.uploads import UploadRules
from syncapi.server.usecases.writes import Writes


class Documents:
    """What members do with single documents.

    A request that was carried out already is answered as at the first time, also under
    ``If-Match`` with the earlier version, as RFC 9110 §13.1.1 allows. So a retry is harmless.
    """

    def __init__(
        self,
        databases: Databases,
        rights: Rights,
        store: ObjectStore,
        rules: UploadRules,
        *,
        unreferenced: timedelta = timedelta(days=1),
    ) -> None:
        """Take the parts; ``unreferenced`` is how long files stay that nothing refers to."""
        self._unreferenced = unreferenced
        self._databases = databases
        self._writes = Writes(databases, rights)
        self._store = store
        self._cleanup = ObjectCleanup(databases, store)
        self._rules = rules

    async def page(self, scope: TenantScope, listing: Listing) -> tuple[Sequence[Document], int]:
        """One page of the live documents, newest first, and the number of all that match."""
        async with self._databases.reading(scope) as connection:
            return await documents.list_page(connection, listing)

    async def get(self, scope: TenantScope, document_id: UUID) -> Document:
        """A live document.

        Raises:
            NotFound: there is none, or it was deleted.
        """
        async with self._databases.reading(scope) as connection:
            return live(await documents.find(connection, document_id)).document

    async def change(
        self,
        scope: TenantScope,
        document_id: UUID,
        changes: DocumentChanges,
        condition: VersionCondition = UNCONDITIONAL,
    ) -> Document:
        """Change the folder, name, type or content. Equal values make no new version.

        Raises:
            NotFound: there is no live document of this id.
            InvalidInput: ``file_id`` is no file of the tenant, or its bytes are lost.
            UnsupportedType: a media type that is not allowed.
            PreconditionFailed: ``condition`` names another version.
        """
        if changes.mime_type is not None:
            self._rules.check_type(changes.mime_type)
        looks = Looks(self._store, self._unreferenced)

        async def work(tx: TenantConnection) -> Document:
            current = live(await documents.find_locked(tx, document_id)).document
            wanted = await _change(tx, current, changes, looks)
            if wanted == current:
                return current
            condition.require(current.updated_at)
            await documents.change(
                tx,
                document_id,
                {
                    "folder": wanted.folder,
                    "filename": wanted.filename,
                    "mime_type": wanted.mime_type,
                    "file_id": wanted.file.id,
                },
            )
            return await documents.committed(tx, wanted)

        return await looks.during(lambda: self._writes.writing(scope, work))

    async def delete(
        self,
        scope: TenantScope,
        document_id: UUID,
        condition: VersionCondition = UNCONDITIONAL,
    ) -> None:
        """Delete softly: the document becomes a tombstone, its history and its bytes stay.

        Raises:
            NotFound: there never was such a document.
            PreconditionFailed: ``condition`` names another version.
        """

        async def work(tx: TenantConnection) -> None:
            current = await _find_or_gone(tx, document_id)
            if current is None or current.is_deleted:
                return
            condition.require(current.updated_at)
            await documents.mark_deleted(tx, document_id)
            await tx.stamp()

        await self._writes.writing(scope, work)

    async def erase(
        self,
        scope: TenantScope,
        document_id: UUID,
        condition: VersionCondition = UNCONDITIONAL,
    ) -> None:
        """Delete for good: the row, its history, and the bytes that nothing else refers to.

        Bytes that were promised to a client a while ago stay as long as unreferenced files do,
        since the client may be about to refer to them; then they are collected. If the database
        may be a copy of one that still needs the bytes, all of them are left to the collection.

        A tombstone stays in the feed, so that clients delete their copies.

        Raises:
            Forbidden: the scope's role lacks the permission ``admin``.
            NotFound: there never was such a document.
            PreconditionFailed: ``condition`` names another version.
        """
        if Permission.ADMIN not in scope.role.permissions:
            raise Forbidden(
                "hard=true needs the permission 'admin'. Leave it out, or ask an admin."
            )
        scope = replace(scope, permission=Permission.ADMIN)
        dropped: list[StoredFile] = []

        async def work(tx: TenantConnection) -> None:
            current = await _find_or_gone(tx, document_id)
            if current is None:
                return
            condition.require(current.updated_at)
            ids = await documents.remove(tx, document_id)
            if await may_be_copy(tx.driver, tx.tenant_id):
                await files.renew(tx, ids)
                dropped.clear()
            else:
                age = self._unreferenced
                dropped[:] = await files.drop_unreferenced(tx, ids, unpromised_for=age)
            await idempotency.forget_document(tx, document_id)
            await tx.stamp()
            # The triggers have fired and written a last version. No other transaction waits for
            # it, so this may follow the taking of the clock.
            await documents.forget_versions(tx, document_id)

        try:
            await self._writes.writing(scope, work)
        finally:
            for file in dropped:
                await self._cleanup.settle(scope, file)


def live(kept: documents.KeptDocument | None) -> documents.KeptDocument:
    """The document, if it is live.

    Raises:
        NotFound: there is none, or it was deleted.
    """
    if kept is None or kept.document.is_deleted:
        raise _no_such_document()
    return kept


async def _find_or_gone(tx: TenantConnection, document_id: UUID) -> Document | None:
    """The locked document, deleted or not; None if it was erased before."""
    kept = await documents.find_locked(tx, document_id)
    if kept is not None:
        return kept.document
    if not await documents.is_gone(tx, document_id):
        raise _no_such_document()
    return None


async def _change(
    tx: TenantConnection, current: Document, changes: DocumentChanges, looks: Looks
) -> Document:
    """What ``current`` becomes."""
    given = changes.model_dump(exclude_none=True, exclude={"file_id"})
    if changes.file_id is not None and changes.file_id != current.file.id:
        file = await files.pin(tx, changes.file_id)
        if file is None or await looks.lacking(tx, [file.id]):
            raise InvalidInput.of("body.file_id", "There is no such file in this tenant.")
        given["file"] = documents.file_info(file)
    return current.model_copy(update=given)


def _no_such_document() -> NotFound:
    return NotFound("There is no such document in this tenant, or it was deleted.")
