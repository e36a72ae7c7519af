"""Uploads: a file and the document that names it, in one act."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from uuid import UUID, uuid4, uuid5

from syncapi.domain.access import TenantScope
from syncapi.domain.content import Digest
from syncapi.domain.errors import Conflict, InvalidInput, TooLarge
from syncapi.domain.filenames import checked_filename
from syncapi.domain.media_types import admit, checked_media_type, media_type_of
from syncapi.postgres import documents, files
from syncapi.postgres.databases import Databases, TenantConnection
from syncapi.postgres.files import StoredFile
from syncapi.storage.s3 import ObjectStore
from syncapi.usecases.leftovers import Leftovers
from syncapi.wire.documents import Document


@dataclass(frozen=True, slots=True)
class Description:
    """What the sender says of a file; None where nothing was said."""

    filename: str | None
    mime_type: str | None


@dataclass(frozen=True, slots=True)
class UploadRules:
    """What may be kept.

    Attributes:
        max_bytes: of one file.
        allowed_types: media types, also as ``image/*``.
        max_seconds: that an upload may take: garbage collection takes bytes for nobody's that
            are without a row for longer.
    """

    max_bytes: int
    allowed_types: tuple[str, ...] = ("*/*",)
    max_seconds: float = 21_600

    def check_type(self, mime_type: str, field: str = "body.mime_type") -> None:
        """Refuse what is no media type, or one that may not be kept.

        Raises:
            InvalidInput: it is no media type.
            UnsupportedType: it may not be kept.
        """
        admit(checked_media_type(mime_type, field), self.allowed_types)


class Uploads:
    """Takes in files. The bytes are in S3 before the row is; what fails leaves neither."""

    def __init__(self, databases: Databases, store: ObjectStore, rules: UploadRules) -> None:
        self._databases = databases
        self._store = store
        self._leftovers = Leftovers(databases, store)
        self.rules = rules

    async def upload(
        self,
        scope: TenantScope,
        chunks: AsyncIterator[bytes],
        describe: Callable[[], Description],
        repeat_key: str | None = None,
    ) -> Document:
        """Keep the bytes of ``chunks`` as a new document.

        The same bytes are kept once per tenant: where a file has them already, the document
        refers to that one. ``describe`` is called when ``chunks`` has ended, since a form may
        name the file after its bytes. An upload that says the same ``repeat_key`` as an earlier
        one of the same user is a repeat: it gives the document that the first one made.

        Raises:
            Conflict: the first upload with this key had other bytes, or was erased since.
            InvalidInput: the description is not fit, or ``chunks`` says so.
            TooLarge: more bytes than the rules allow.
            UnsupportedType: a type that the rules do not allow.
            Unavailable: S3 or the database is down.
        """
        key = f"{scope.tenant_id}/{uuid4()}"
        digest = await self._sent(key, chunks)
        file = StoredFile(uuid4(), key, digest)
        kept = None
        try:
            filename, mime_type = self._named(describe())
            kept, document = await self._databases.writing(
                scope, _Recording(filename, mime_type, file, repeat_key)
            )
        finally:
            if kept is not file:
                await self._leftovers.settle(scope, file)
        return document

    async def _sent(self, key: str, chunks: AsyncIterator[bytes]) -> Digest:
        try:
            async with asyncio.timeout(self.rules.max_seconds):
                return await self._store.upload(key, chunks, limit=self.rules.max_bytes)
        except TimeoutError as error:
            raise TooLarge(
                f"The upload took longer than {self.rules.max_seconds:g} seconds. Send a file of "
                "this size straight to the object store: declare it by POST /files."
            ) from error

    def _named(self, description: Description) -> tuple[str, str]:
        if not description.filename:
            raise InvalidInput.of(
                "body.filename", "It is required where the part 'file' brings no name of its own."
            )
        filename = checked_filename(description.filename, "body.filename")
        mime_type = description.mime_type or media_type_of(filename)
        self.rules.check_type(mime_type)
        return filename, mime_type


@dataclass(frozen=True, slots=True)
class _Recording:
    """The transaction of an upload, which may have to run more than once."""

    filename: str
    mime_type: str
    file: StoredFile
    repeat_key: str | None

    async def __call__(self, tx: TenantConnection) -> tuple[StoredFile, Document]:
        document_id = self._document_id(tx.scope)
        if self.repeat_key is not None:
            await documents.reserve(tx, document_id)
        kept = await files.adopt(tx, self.file)
        if self.repeat_key is not None:
            earlier = await _earlier(tx, document_id, kept)
            if earlier is not None:
                return kept, earlier
        document = await documents.add(
            tx, document_id, filename=self.filename, mime_type=self.mime_type, file=kept
        )
        return kept, await documents.committed(tx, document)

    def _document_id(self, scope: TenantScope) -> UUID:
        """Where there is a key, the id follows from it, so that a repeat finds the document."""
        if self.repeat_key is None:
            return uuid4()
        return uuid5(scope.tenant_id, f"{scope.user_id} {self.repeat_key}")


async def _earlier(tx: TenantConnection, document_id: UUID, file: StoredFile) -> Document | None:
    """The document that the first upload made, as it is now; None if this is the first."""
    earlier = await documents.find_locked(tx, document_id)
    if earlier is None and not await documents.is_gone(tx, document_id):
        return None
    if earlier is None or not await documents.had_content(tx, document_id, file.id):
        raise Conflict(
            "An upload with this Idempotency-Key had other bytes, or its document was erased. "
            "Send a new key with what is a new upload."
        )
    return earlier.document
