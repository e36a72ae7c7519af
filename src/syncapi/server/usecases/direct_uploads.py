"""Uploads that go from the client straight to the object store.

The service only signs and checks: it begins an upload, says what is missing, and makes the file
when all bytes are there and are the declared ones. No document can refer to it before that.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from uuid import UUID, uuid4

from syncapi.protocol.content import Digest
from syncapi.protocol.files import PARTS_AT_ONCE, FileState
from syncapi.server.domain.access import TenantScope
from syncapi.server.domain.errors import FieldError, InvalidInput, NotFound, TooLarge
from syncapi.server.domain.idempotency import keyed
from syncapi.server.domain.transfers import TransferRules, differences
from syncapi.server.postgres import direct_uploads as store
from syncapi.server.postgres import files, idempotency
from syncapi.server.postgres.databases import Databases, TenantConnection
from syncapi.server.postgres.direct_uploads import DirectUpload
from syncapi.server.postgres.files import StoredFile
from syncapi.server.storage.s3 import ObjectStore
from syncapi.server.usecases.access import Rights
from syncapi.server.usecases.telemetry import UNCOUNTED, Activity
from syncapi.server.usecases.upload_instructions import (
    Underway,
    UploadInstructions,
    UrlTerms,
    complete,
)
from syncapi.server.usecases.uploads import UploadRules
from syncapi.server.usecases.writes import Writes


def _utc_now() -> datetime:
    return datetime.now(UTC)


class DirectUploads:
    """Begins and follows uploads; `Completions` ends them."""

    def __init__(  # noqa: PLR0913 - one place calls it, by name
        self,
        databases: Databases,
        rights: Rights,
        objects: ObjectStore,
        rules: UploadRules,
        transfers: TransferRules,
        instructions: UploadInstructions,
        *,
        url_seconds: int,
        activity: Activity = UNCOUNTED,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        """Take the parts.

        Args:
            databases: hold the tenants' rows.
            rights: reads what a member may still do.
            objects: holds the bytes.
            rules: which media types are accepted.
            transfers: sizes of files and parts.
            instructions: signs the URLs.
            url_seconds: how long signed URLs work.
            activity: receives reports of uploads that begin and fail.
            now: gives the time at which URLs are signed.
        """
        self._databases = databases
        self._writes = Writes(databases, rights)
        self._objects = objects
        self._rules = rules
        self._transfers = transfers
        self._instructions = instructions
        self._url_seconds = url_seconds
        self._activity = activity
        self._now = now

    async def declare(
        self, scope: TenantScope, declared: Digest, mime_type: str, key: str | None = None
    ) -> FileState:
        """Find the bytes, or the upload of them that is under way, or begin one.

        Raises:
            InvalidInput: the tenant has bytes of these hashes, and they are of another size.
            TooLarge: more bytes than the rules allow.
            UnsupportedType: a type that the rules do not allow.
            IdempotencyKeyReused: the first declaration with this ``key`` was another one.
            NotFound, Forbidden: the right to declare was lost meanwhile.
            Unavailable: S3 or the database is down.
        """
        try:
            return await self._declare(scope, declared, mime_type, key)
        except BaseException as error:
            self._activity.upload_failed("direct", error)
            raise

    async def _declare(
        self, scope: TenantScope, declared: Digest, mime_type: str, key: str | None
    ) -> FileState:
        if declared.file_size > (most := self._transfers.max_bytes):
            message = f"The file is larger than the {most} bytes that are accepted."
            raise TooLarge(message, errors=[FieldError("body.file_size", message)])
        self._rules.check_type(mime_type)
        request = keyed(key, "declareFile", declared, mime_type)
        if request is not None:
            # Refuse a key that came with another request before anything is done.
            async with self._databases.reading(scope) as connection:
                earlier = await idempotency.find(connection, request.key)
            if earlier is not None:
                earlier.require_same(request)
        found = await self._find_or_begin(scope, declared, mime_type)
        if request is not None:
            # This comes last, so that a declaration that fails leaves its key free. The answer is
            # not kept: a repeat is answered with the state of the upload at that time.
            await self._writes.writing(scope, partial(idempotency.claim, request=request))
        if isinstance(found, StoredFile):
            return complete(found)
        return self._instructions.make(found, after=0, most=PARTS_AT_ONCE)

    async def state(
        self, scope: TenantScope, upload_id: UUID, *, after: int, most: int
    ) -> FileState:
        """The file, or how far its upload has come, and ``most`` of what is missing.

        Raises:
            NotFound: there is neither.
            Unavailable: S3 or the database is down.
        """
        terms = self._terms()
        found = await find(self._writes, self._objects, scope, upload_id, terms.expires_at)
        if isinstance(found, StoredFile):
            return complete(found)
        underway = await self._follow(found, terms)
        if underway is None:
            return complete(await lost(self._writes, scope, upload_id))
        return self._instructions.make(underway, after=after, most=most)

    async def _find_or_begin(
        self, scope: TenantScope, declared: Digest, mime_type: str
    ) -> StoredFile | Underway:
        terms = self._terms()
        missing_path: str | None = None

        async def known(tx: TenantConnection) -> StoredFile | DirectUpload | None:
            file = await files.promise_bytes(tx, declared, missing_path)
            return file or await store.find_pending(tx, declared, terms.expires_at)

        found = await self._writes.writing(scope, known)
        if isinstance(found, StoredFile):
            if await self._objects.head(found.s3_path) is not None:
                return _require_size(found, declared)
            missing_path = found.s3_path
            found = await self._writes.writing(scope, known)
        if isinstance(found, StoredFile):  # another request has stored them meanwhile
            return _require_size(found, declared)
        if found is not None:
            underway = await self._follow(found, terms)
            if underway is not None:
                return underway
            await self._writes.writing(scope, partial(store.drop, upload_id=found.id))
        return await self._begin(scope, declared, mime_type, missing_path)

    def _terms(self) -> UrlTerms:
        return UrlTerms(self._now().replace(microsecond=0), self._url_seconds)

    async def _begin(
        self, scope: TenantScope, declared: Digest, mime_type: str, missing_path: str | None
    ) -> StoredFile | Underway:
        """Begin an upload, unless another request is a moment earlier.

        A crash in between leaves an upload in S3 that no row knows; it is collected.
        """
        path, multipart = f"{scope.tenant_id}/{uuid4()}", self._objects.multipart
        is_single = self._transfers.is_single(declared.file_size)
        upload = DirectUpload(
            id=uuid4(),
            digest=declared,
            mime_type=mime_type,
            s3_path=path,
            s3_upload_id=None if is_single else await multipart.begin(path, mime_type),
            plan=self._transfers.plan(declared.file_size),
        )
        terms = self._terms()

        async def first(tx: TenantConnection) -> StoredFile | DirectUpload:
            while True:
                file = await files.promise_bytes(tx, declared, missing_path)
                if file is not None:
                    return file
                if await store.add(tx, upload, terms.expires_at):
                    return upload
                pending = await store.find_pending(tx, declared, terms.expires_at)
                if pending is not None:  # else it came to its end between the statements
                    return pending

        kept = await self._writes.writing(scope, first)
        if kept is upload:
            self._activity.upload_begun("direct")
            return Underway(upload, {}, terms)
        await self._abort(upload)
        if isinstance(kept, StoredFile):
            return _require_size(kept, declared)
        return await self._follow(kept, terms) or await lost(self._writes, scope, kept.id)

    async def _abort(self, upload: DirectUpload) -> None:
        if upload.s3_upload_id is not None:
            key, multipart = upload.s3_path, self._objects.multipart
            await self._objects.clean_up(key, partial(multipart.abort, key, upload.s3_upload_id))

    async def _follow(self, upload: DirectUpload, terms: UrlTerms) -> Underway | None:
        """How far the upload has come; None if S3 has lost it."""
        if upload.s3_upload_id is not None:
            parts = await self._objects.multipart.parts(upload.s3_path, upload.s3_upload_id)
            if parts is not None:
                sizes = {number: part.size for number, part in parts.items()}
                return Underway(upload, sizes, terms)
        stored = await self._objects.head(upload.s3_path)
        if upload.s3_upload_id is None:
            return Underway(upload, {} if stored is None else {1: stored.size}, terms)
        if stored is None:
            return None
        # S3 has joined the parts already, for a completion that was cut short.
        numbers = range(1, upload.plan.part_count + 1)
        return Underway(upload, {n: upload.plan.size(n) for n in numbers}, terms)


async def find(
    writes: Writes,
    objects: ObjectStore,
    scope: TenantScope,
    upload_id: UUID,
    expires_at: datetime,
) -> StoredFile | DirectUpload:
    """The file, or the upload under way, which is kept until ``expires_at`` at least.

    Raises:
        NotFound: there is neither, or the file's bytes are lost.
        Unavailable: S3 or the database is down.
    """

    async def work(tx: TenantConnection) -> StoredFile | DirectUpload | None:
        upload = await store.renew(tx, upload_id, expires_at)
        return upload or await store.outcome(tx, upload_id)

    found = await writes.writing(scope, work)
    is_lost = isinstance(found, StoredFile) and await objects.head(found.s3_path) is None
    if found is None or is_lost:
        raise NotFound(
            "There is no such file in this tenant, or its upload was given up. Declare it again."
        )
    return found


async def lost(writes: Writes, scope: TenantScope, upload_id: UUID) -> StoredFile:
    """The file that another request has made of an upload that S3 no longer knows.

    Raises:
        NotFound: there is no such file; the upload is forgotten.
    """

    async def work(tx: TenantConnection) -> StoredFile | None:
        await store.drop(tx, upload_id)
        return await store.outcome(tx, upload_id)

    file = await writes.writing(scope, work)
    if file is None:
        raise NotFound("The object store has given up this upload. Declare the file again.")
    return file


def _require_size(file: StoredFile, declared: Digest) -> StoredFile:
    faults = differences(declared, file.digest)
    if faults:
        errors = [FieldError(f"body.{fault.field}", fault.message) for fault in faults]
        raise InvalidInput(f"{errors[0].field}: {errors[0].message}", errors=errors)
    return file
