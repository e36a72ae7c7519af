"""Files: declared, followed and completed; and many of them as one archive."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import httpx

from syncapi.client.api.requests import TenantRequests, Value
from syncapi.client.errors import TransferError
from syncapi.protocol.archives import ArchiveFormat, ArchiveRequest
from syncapi.protocol.base import Success
from syncapi.protocol.files import FileDeclaration, FileState


class FileRequests(TenantRequests):
    """What the service does for transfers. `Uploader` puts these together."""

    async def declare(self, declared: FileDeclaration) -> FileState:
        """Say which bytes are to come: the file if they are there, else how to send them.

        Raises:
            TooLarge, UnsupportedType: they are not taken.
        """
        return await self._ask(self._request("POST", "/files", body=declared), Success[FileState])

    async def file(
        self, file_id: UUID, after: int | None = None, per_page: int | None = None
    ) -> FileState:
        """How an upload stands, with new URLs for what is missing.

        Args:
            file_id: as `declare` gave it.
            after: only parts behind this one.
            per_page: parts at most, 1 to 1000.

        Raises:
            NotFound: it was given up; declare again.
        """
        query: dict[str, Value] = {"after": after, "per_page": per_page}
        make = self._request("GET", f"/files/{file_id}", query=query)
        return await self._ask(make, Success[FileState])

    async def complete(self, file_id: UUID) -> FileState:
        """Have what was sent verified and made a file; take the id of the answer.

        Raises:
            Conflict: ``upload_incomplete`` or ``content_mismatch``.
            NotFound: it was given up; declare again.
        """
        make = self._request("POST", f"/files/{file_id}/complete")
        return await self._ask(make, Success[FileState])

    @asynccontextmanager
    async def archive(
        self,
        document_ids: Sequence[UUID],
        format: ArchiveFormat = "zip",  # noqa: A002 - its name
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Up to 500 documents as one archive, read while it is made.

        Once it has begun it is not repeated: a `TransferError` says that it was cut off.
        """
        body = ArchiveRequest(document_ids=list(document_ids), format=format)
        make = self._request("POST", "/documents/batch-download", body=body)
        answer = await self._sender.send(make, streamed=True)
        try:
            yield _whole(answer)
        finally:
            await answer.aclose()


async def _whole(answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for piece in answer.aiter_bytes():
            yield piece
    except httpx.RequestError as error:
        raise TransferError(
            "The archive was cut off.", hint="ask for it again, or for fewer documents at once"
        ) from error
