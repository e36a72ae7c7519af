"""URLs to download the bytes of a document."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import quote
from uuid import UUID

from syncapi.protocol.documents import DownloadUrl
from syncapi.server.domain.access import TenantScope
from syncapi.server.postgres import documents
from syncapi.server.postgres.databases import Databases
from syncapi.server.storage.signing import UrlSigner
from syncapi.server.usecases.documents import live


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Downloads:
    """Signs URLs for members who may read."""

    def __init__(
        self,
        databases: Databases,
        signer: UrlSigner,
        *,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._databases = databases
        self._signer = signer
        self._now = now

    async def url(self, scope: TenantScope, document_id: UUID, expires: int) -> DownloadUrl:
        """A URL that gives the bytes for ``expires`` seconds, under the document's own name.

        Raises:
            NotFound: there is no live document of this id.
        """
        async with self._databases.reading(scope) as connection:
            kept = live(await documents.find(connection, document_id))
        document = kept.document
        now = self._now().replace(microsecond=0)  # a signature counts in whole seconds
        return DownloadUrl(
            download_url=self._signer.sign_get(
                kept.s3_path,
                now,
                expires,
                content_disposition=attachment(document.filename),
                content_type=document.mime_type,
            ),
            expires_at=now + timedelta(seconds=expires),
            md5_hash=document.file.md5_hash,
            sha256_hash=document.file.sha256_hash,
            file_size=document.file.file_size,
        )


def attachment(filename: str) -> str:
    """A Content-Disposition that saves, and never shows: a document may be a web page.

    RFC 6266: the plain name for old programs, the extended one for all others.
    """
    plain = "".join(c if c.isascii() and c not in '"\\%' else "_" for c in filename)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"
