"""Uploads by form: one request makes a file and the document that names it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from uuid import UUID, uuid4

from syncapi.protocol.content import Digest
from syncapi.protocol.documents import Document
from syncapi.protocol.media_types import media_type_of
from syncapi.server.domain.access import TenantScope
from syncapi.server.domain.errors import InvalidInput, TooLarge, Unavailable
from syncapi.server.domain.field_checks import (
    admit,
    checked_filename,
    checked_folder,
    checked_media_type,
)
from syncapi.server.domain.idempotency import KeyedRequest, keyed
from syncapi.server.postgres import documents, files, idempotency
from syncapi.server.postgres.databases import Databases, TenantConnection
from syncapi.server.postgres.files import StoredFile
from syncapi.server.postgres.idempotency import Earlier
from syncapi.server.storage.parts import digest_of
from syncapi.server.storage.s3 import ObjectStore
from syncapi.server.usecases.access import Rights
from syncapi.server.usecases.idempotency import answer_of, once
from syncapi.server.usecases.missing_bytes import missing_path
from syncapi.server.usecases.object_cleanup import ObjectCleanup
from syncapi.server.usecases.telemetry import UNCOUNTED, Activity
from syncapi.server.usecases.writes import Writes


@dataclass(frozen=True, slots=True)
class Description:
    """What the sender says of a file; None for what was not sent.

    Attributes:
        folder: empty for the root.
    """

    folder: str
    filename: str | None
    mime_type: str | None


@dataclass(frozen=True, slots=True)
class UploadRules:
    """What may be kept.

    Attributes:
        max_bytes: of one file.
        allowed_types: media types, also as ``image/*``.
        max_seconds: how long an upload may take; garbage collection deletes bytes that have been
            without a row for longer.
    """

    max_bytes: int
    allowed_types: tuple[str, ...] = ("*/*",)
    max_seconds: float = 21_600

    def check_type(self, mime_type: str, field: str = "body.mime_type") -> None:
        """Refuse a text that is no media type, or a media type that is not allowed.

        Raises:
            InvalidInput: it is no media type.
            UnsupportedType: it is not allowed.
        """
        admit(checked_media_type(mime_type, field), self.allowed_types)


class Uploads:
    """Stores files. The bytes are in S3 before the row is; an upload that fails leaves neither."""

    def __init__(
        self,
        databases: Databases,
        rights: Rights,
        store: ObjectStore,
        rules: UploadRules,
        activity: Activity = UNCOUNTED,
    ) -> None:
        self._databases = databases
        self._writes = Writes(databases, rights)
        self._rights = rights
        self._store = store
        self._cleanup = ObjectCleanup(databases, store)
        self._activity = activity
        self.rules = rules

    async def upload(
        self,
        scope: TenantScope,
        chunks: AsyncIterator[bytes],
        describe: Callable[[], Description],
        key: str | None = None,
    ) -> Document:
        """Keep the bytes of ``chunks`` as a new document.

        The same bytes are kept once per tenant: where a file has them already, the document
        refers to that one. ``describe`` is called when ``chunks`` has ended, since a form may
        name the file after its bytes. A repeat of an earlier upload of the same user, known by
        its ``key``, is answered as that was.

        Raises:
            IdempotencyKeyReused: the first upload with this key was another one.
            Conflict: its document was erased since.
            InvalidInput: the description is not fit, or ``chunks`` says so.
            TooLarge: more bytes than the rules allow.
            UnsupportedType: a type that the rules do not allow.
            NotFound, Forbidden: the right to upload was lost while the bytes came.
            Unavailable: S3 or the database is down.
        """
        earlier = await self._find_earlier(scope, key)
        if earlier is not None:
            digest = await digest_of(chunks, self.rules.max_bytes)
            request = _keyed_request(key, self._check(describe()), digest)
            return await self._repeat(scope, earlier, request)
        self._activity.upload_begun("form")
        try:
            document = await self._keep(scope, chunks, describe, key)
        except BaseException as error:
            self._activity.upload_failed("form", error)
            raise
        self._activity.upload_completed("form", document.file.file_size)
        return document

    async def _keep(
        self,
        scope: TenantScope,
        chunks: AsyncIterator[bytes],
        describe: Callable[[], Description],
        key: str | None,
    ) -> Document:
        path = f"{scope.tenant_id}/{uuid4()}"
        try:
            async with asyncio.timeout(self.rules.max_seconds):
                digest = await self._store.upload(path, chunks, limit=self.rules.max_bytes)
        except TimeoutError as error:
            raise TooLarge(
                f"The upload took longer than {self.rules.max_seconds:g} seconds. Send a file of "
                "this size straight to the object store: declare it by POST /files."
            ) from error
        file = StoredFile(uuid4(), path, digest)
        kept = None
        try:
            names = self._check(describe())
            request = _keyed_request(key, names, digest)
            # The upload may have taken hours: the tenant may have moved meanwhile.
            read_at = time.monotonic()
            scope = await self._rights.confirmed(scope)
            missing = await missing_path(self._databases, self._store, scope, digest)
            recording = _Recording(uuid4(), names, file, missing, request)
            kept, document = await self._writes.writing(scope, recording, read_at=read_at)
        finally:
            if kept is None or kept.s3_path != path:
                await self._cleanup.settle(scope, file)
        return document

    async def _find_earlier(self, scope: TenantScope, key: str | None) -> Earlier | None:
        """The first upload with this key, if it is over, so that nothing has to be stored.

        None also if its bytes are lost, since those of the repeat replace them. Even without a key
        this checks, before the bytes come, that the database has the tenant's own feed.
        """
        async with self._databases.reading(scope) as connection:
            earlier = None if key is None else await idempotency.find(connection, key)
        if earlier is None or earlier.answer is None:
            return earlier
        file = answer_of(earlier).file
        digest = Digest(file.md5_hash, file.sha256_hash, file.file_size)
        with suppress(Unavailable):  # a repeat is answered although S3 is down
            if await missing_path(self._databases, self._store, scope, digest) is not None:
                return None
        return earlier

    async def _repeat(
        self, scope: TenantScope, earlier: Earlier, request: KeyedRequest | None
    ) -> Document:
        """Give the earlier answer again, and promise its file anew."""
        read_at = time.monotonic()
        scope = await self._rights.confirmed(scope)
        if request is not None:
            earlier.require_same(request)
        document = answer_of(earlier)
        promise = partial(files.promise, file_id=document.file.id)
        await self._writes.writing(scope, promise, read_at=read_at)
        return document

    def _check(self, description: Description) -> "_Names":
        if not description.filename:
            raise InvalidInput.of(
                "body.filename", "It is required where the part 'file' brings no name of its own."
            )
        filename = checked_filename(description.filename, "body.filename")
        mime_type = description.mime_type or media_type_of(filename)
        self.rules.check_type(mime_type)
        folder = checked_folder(description.folder, "body.folder")
        return _Names(folder, filename, mime_type)


@dataclass(frozen=True, slots=True)
class _Names:
    """The folder, name and media type of the new document."""

    folder: str
    filename: str
    mime_type: str


@dataclass(frozen=True, slots=True)
class _Recording:
    """The transaction of an upload, which may be run more than once."""

    document_id: UUID
    names: _Names
    file: StoredFile
    missing_path: str | None
    request: KeyedRequest | None

    async def __call__(self, tx: TenantConnection) -> tuple[StoredFile, Document]:
        """The file that has the bytes, and the document."""
        kept: StoredFile | None = None

        async def act() -> Document:
            nonlocal kept
            kept = await files.adopt(tx, self.file, self.missing_path)
            document = await documents.add(tx, self.document_id, **asdict(self.names), file=kept)
            return await documents.committed(tx, document)

        document = await once(tx, self.request, act)
        # The bytes of a repeat may have been lost since the first request.
        return kept or await files.adopt(tx, self.file, self.missing_path), document


def _keyed_request(key: str | None, names: _Names, digest: Digest) -> KeyedRequest | None:
    said = [names.filename, names.mime_type, digest.sha256_hash]
    if names.folder:  # without one it is the request that it was when there were no folders
        said.append(names.folder)
    return keyed(key, "createDocument", *said)
