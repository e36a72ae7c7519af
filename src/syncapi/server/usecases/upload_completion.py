"""The end of a direct upload: its parts are joined and verified, and become a file."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final
from uuid import UUID

from syncapi.protocol.content import Digest
from syncapi.server.domain.access import TenantScope
from syncapi.server.domain.errors import ContentMismatch, FieldError, UploadIncomplete
from syncapi.server.domain.transfers import differences
from syncapi.server.postgres import direct_uploads as store
from syncapi.server.postgres.databases import Databases, TenantConnection
from syncapi.server.postgres.direct_uploads import DirectUpload
from syncapi.server.postgres.feed_identity import may_be_copy
from syncapi.server.postgres.files import StoredFile
from syncapi.server.storage.s3 import ObjectStore
from syncapi.server.usecases.access import Rights
from syncapi.server.usecases.direct_uploads import find, lost
from syncapi.server.usecases.missing_bytes import missing_path
from syncapi.server.usecases.object_cleanup import ObjectCleanup
from syncapi.server.usecases.single_flight import SingleFlight
from syncapi.server.usecases.telemetry import UNCOUNTED, Activity
from syncapi.server.usecases.verification import Verifier
from syncapi.server.usecases.writes import Writes

_LONGEST: Final = timedelta(days=1)
"""How long an upload that is being verified is kept at least."""


class Completions:
    """Makes files of uploads. Each step may be repeated, by whatever process."""

    def __init__(
        self,
        databases: Databases,
        rights: Rights,
        objects: ObjectStore,
        verifier: Verifier,
        activity: Activity = UNCOUNTED,
    ) -> None:
        self._databases = databases
        self._writes = Writes(databases, rights)
        self._objects = objects
        self._verifier = verifier
        self._activity = activity
        self._cleanup = ObjectCleanup(databases, objects)
        self._completions = SingleFlight[tuple[TenantScope, UUID], StoredFile]()
        self._readings = SingleFlight[str, Digest | None]()

    async def close(self) -> None:
        """Stop what is under way. Clients ask again."""
        await self._completions.close()
        await self._readings.close()

    async def complete(self, scope: TenantScope, upload_id: UUID) -> StoredFile:
        """Make the file of an upload whose bytes are all there.

        This takes as long as it takes to read them. It goes on when a caller gives up waiting, and
        a caller that asks again joins it. Callers share the reading, and each needs the right to
        make the file when the reading is over.

        Raises:
            NotFound: there is no such upload, or the caller is no member any more.
            Forbidden: the caller's role lacks the permission by now.
            UploadIncomplete: bytes are missing; the upload goes on.
            ContentMismatch: they are not the declared ones; they and the upload are gone.
            Unavailable: S3 or the database is down.
        """

        async def work() -> StoredFile:
            try:
                return await self._complete(scope, upload_id)
            except BaseException as error:
                self._activity.upload_failed("direct", error)
                raise

        return await self._completions.run((scope, upload_id), work)

    async def _complete(self, scope: TenantScope, upload_id: UUID) -> StoredFile:
        upload = await self._find(scope, upload_id)
        if isinstance(upload, StoredFile):
            return upload
        digest = await self._readings.run(upload.s3_path, partial(self._read, upload))
        if digest is None:
            upload = await self._find(scope, upload_id)
            if isinstance(upload, StoredFile):  # another request was quicker
                return upload
            if upload.s3_upload_id is not None:
                return await lost(self._writes, scope, upload_id)
            raise UploadIncomplete(
                "The bytes have not arrived. Send them, and complete the upload then.",
                errors=[FieldError("parts.1", "It has not arrived.")],
            )
        faults = differences(upload.digest, digest)
        if not faults:
            return await self._make_file(scope, upload)
        # The row is deleted before the bytes, so that no row is left without its bytes.
        if await self._writes.writing(scope, partial(store.drop, upload_id=upload.id)):
            key = upload.s3_path
            await self._objects.clean_up(key, partial(self._objects.delete, key))
        message = "The bytes are not the declared ones and were deleted. Declare the file again."
        raise ContentMismatch(f"{message} {faults[0].message}", errors=faults)

    async def _find(self, scope: TenantScope, upload_id: UUID) -> StoredFile | DirectUpload:
        kept_until = datetime.now(UTC) + _LONGEST
        return await find(self._writes, self._objects, scope, upload_id, kept_until)

    async def _read(self, upload: DirectUpload) -> Digest | None:
        """Make S3 join the parts, and read the digest of the whole."""
        multipart, plan = self._objects.multipart, upload.plan
        parts = None
        if upload.s3_upload_id is not None:
            parts = await multipart.parts(upload.s3_path, upload.s3_upload_id)
        if upload.s3_upload_id is not None and parts is not None:  # they are not joined yet
            sizes = {number: part.size for number, part in parts.items()}
            missing = plan.missing(sizes)
            if missing:
                raise UploadIncomplete(
                    f"{len(missing)} of {plan.part_count} parts are missing or have another "
                    "length. Get their URLs, send them, and complete the upload then.",
                    errors=plan.faults(sizes),
                )
            wanted = {number: parts[number] for number in range(1, plan.part_count + 1)}
            await multipart.complete(upload.s3_path, upload.s3_upload_id, wanted)
        return await self._verifier.digest(upload.s3_path, upload.digest)

    async def _make_file(self, scope: TenantScope, upload: DirectUpload) -> StoredFile:
        missing = await missing_path(self._databases, self._objects, scope, upload.digest)

        async def finish(tx: TenantConnection) -> tuple[StoredFile | None, bool]:
            kept = await store.finish(tx, upload, missing)
            is_spare = kept is not None and kept.s3_path != upload.s3_path
            # If a copy of this database has the same upload, the bytes may be those of a file
            # there.
            return kept, is_spare and not await may_be_copy(tx.driver, tx.tenant_id)

        kept, is_leftover = await self._writes.writing(scope, finish, read_at=float("-inf"))
        if kept is None:  # another request was quicker, or the upload was collected
            return await lost(self._writes, scope, upload.id)
        self._activity.upload_completed("direct", upload.digest.file_size)
        if is_leftover:
            await self._cleanup.settle(scope, upload.file)
        return kept
