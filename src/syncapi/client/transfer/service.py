"""What transfers need of the API."""

from typing import Protocol
from uuid import UUID

import httpx

from syncapi.client.retrying import RetryPolicy
from syncapi.protocol.documents import DownloadUrl
from syncapi.protocol.files import FileDeclaration, FileState


class TransferService(Protocol):
    """The side of `Client` that signs URLs.

    Attributes:
        storage: for presigned URLs; it sends no ``Authorization``.
        retry: how requests to the object store are repeated.
    """

    @property
    def storage(self) -> httpx.AsyncClient: ...

    @property
    def retry(self) -> RetryPolicy: ...

    async def download_url(self, document_id: UUID, expires_in: int = 3600) -> DownloadUrl: ...

    async def declare(self, declared: FileDeclaration) -> FileState: ...

    async def file(
        self, file_id: UUID, after: int | None = None, per_page: int | None = None
    ) -> FileState: ...

    async def complete(self, file_id: UUID) -> FileState: ...
