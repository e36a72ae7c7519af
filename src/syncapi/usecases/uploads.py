"""Uploads: a file and the document that names it, in one act."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from uuid import UUID, uuid4

from syncapi.domain.access import TenantScope
from syncapi.domain.errors import InvalidInput
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
    """

    max_bytes: int
    allowed_types: tuple[str, ...] = ("*/*",)

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
    ) -> Document:
        """Keep the bytes of ``chunks`` as a new document.

        The same bytes are kept once per tenant: where a file has them already, the document
        refers to that one. ``describe`` is called when ``chunks`` has ended, since a form may
        name the file after its bytes.

        Raises:
            InvalidInput: the description is not fit, or ``chunks`` says so.
            TooLarge: more bytes than the rules allow.
            UnsupportedType: a type that the rules do not allow.
            Unavailable: S3 or the database is down.
        """
        key = f"{scope.tenant_id}/{uuid4()}"
        digest = await self._store.upload(key, chunks, limit=self.rules.max_bytes)
        file = StoredFile(uuid4(), key, digest)
        kept = None
        try:
            filename, mime_type = self._named(describe())
            kept, document = await self._databases.writing(
                scope, _Recording(uuid4(), filename, mime_type, file)
            )
        finally:
            if kept is not file:
                await self._leftovers.settle(scope, file)
        return document

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

    document_id: UUID
    filename: str
    mime_type: str
    file: StoredFile

    async def __call__(self, tx: TenantConnection) -> tuple[StoredFile, Document]:
        kept = await files.adopt(tx, self.file)
        document = await documents.add(
            tx, self.document_id, filename=self.filename, mime_type=self.mime_type, file=kept
        )
        return kept, await documents.committed(tx, document)
