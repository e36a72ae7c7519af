"""Documents, one at a time, and what they were."""

from collections.abc import AsyncIterator
from datetime import datetime
from uuid import UUID

from syncapi.client.api.answers import data_of
from syncapi.client.api.forms import upload_form
from syncapi.client.api.requests import TenantRequests, condition, key_header
from syncapi.client.transfer.contents import AnyContent, content_of
from syncapi.domain.media_types import media_type_of
from syncapi.wire.base import Success
from syncapi.wire.documents import (
    DeletedDocument,
    Document,
    DocumentChanges,
    DocumentData,
    DocumentList,
    DownloadUrl,
)
from syncapi.wire.history import DocumentHistory, DocumentVersion, RestoreRequest


class DocumentRequests(TenantRequests):
    """Reads and writes documents, and brings back their versions."""

    async def documents(
        self,
        *,
        page: int = 1,
        per_page: int = 20,
        filename: str | None = None,
        folder: str | None = None,
        modified_after: datetime | None = None,
        modified_before: datetime | None = None,
        created_after: datetime | None = None,
    ) -> DocumentList:
        """A page of the documents, newest first.

        Args:
            page: from 1.
            per_page: documents to a page, 1 to 100.
            filename: only those with this in their name, without regard to case.
            folder: only those that stand in it; '' for the root.
            modified_after: only those with a later version.
            modified_before: only those with an earlier version.
            created_after: only those that were made later.
        """
        make = self._request(
            "GET",
            "/documents",
            query={
                "page": page,
                "per_page": per_page,
                "filename": filename,
                "folder": folder,
                "modified_after": modified_after,
                "modified_before": modified_before,
                "created_after": created_after,
            },
        )
        return await self._ask(make, Success[DocumentList])

    async def document(self, document_id: UUID) -> Document:
        """A document as it is now. Raises `NotFound` if there is none, or no more."""
        make = self._request("GET", f"/documents/{document_id}")
        return (await self._ask(make, Success[DocumentData])).document

    async def change_document(
        self,
        document_id: UUID,
        changes: DocumentChanges,
        *,
        if_match: datetime | None = None,
    ) -> Document:
        """Change the fields that are given.

        Args:
            document_id: of which document.
            changes: what is None stays as it is.
            if_match: the version that it must still have.

        Raises:
            PreconditionFailed: it has another one.
        """
        make = self._request(
            "PATCH", f"/documents/{document_id}", body=changes, headers=condition(if_match)
        )
        return (await self._ask(make, Success[DocumentData])).document

    async def delete_document(
        self, document_id: UUID, *, hard: bool = False, if_match: datetime | None = None
    ) -> DeletedDocument:
        """Delete a document; ``hard`` drops its history too, and cannot be undone.

        Raises:
            PreconditionFailed: it has another version than ``if_match``.
        """
        make = self._request(
            "DELETE",
            f"/documents/{document_id}",
            query={"hard": hard},
            headers=condition(if_match),
        )
        return await self._ask(make, Success[DeletedDocument])

    async def upload_document(
        self,
        content: AnyContent,
        filename: str,
        mime_type: str | None = None,
        *,
        folder: str = "",
        idempotency_key: str | None = None,
    ) -> Document:
        """Make a document, by way of the service; `upload` goes straight to the object store.

        Args:
            content: the bytes; a file is read while it is sent.
            filename: of the document.
            mime_type: else that of the name's extension.
            folder: of the document; '' for the root.
            idempotency_key: gives the same document again to whoever sends the same request
                with the same key, also after a crash; without it only retries in here do.

        Raises:
            TooLarge, UnsupportedType: it is not taken.
            OSError: the file cannot be read.
        """
        form = upload_form(
            content_of(content), filename, mime_type or media_type_of(filename), folder
        )
        headers = key_header(idempotency_key) | form.headers
        url = f"{self._tenant_url}/documents"
        answer = await self._sender.send(
            lambda: self._http.build_request("POST", url, content=form.body(), headers=headers)
        )
        return data_of(answer, Success[DocumentData]).document

    async def download_url(self, document_id: UUID, expires_in: int = 3600) -> DownloadUrl:
        """A URL of the bytes that works for ``expires_in`` seconds, 60 to 86400."""
        path = f"/documents/{document_id}/download-url"
        make = self._request("GET", path, query={"expires_in": expires_in})
        return await self._ask(make, Success[DownloadUrl])

    async def history(
        self, document_id: UUID, before: datetime | None = None, *, per_page: int = 20
    ) -> DocumentHistory:
        """A page of the versions, newest first: those older than ``before``, if that is given."""
        path = f"/documents/{document_id}/history"
        make = self._request("GET", path, query={"before": before, "per_page": per_page})
        return await self._ask(make, Success[DocumentHistory])

    async def versions(self, document_id: UUID) -> AsyncIterator[DocumentVersion]:
        """All versions, newest first."""
        page = await self.history(document_id, per_page=100)
        while True:
            for version in page.versions:
                yield version
            if page.next_before is None:
                return
            page = await self.history(document_id, page.next_before, per_page=100)

    async def restore(
        self,
        document_id: UUID,
        updated_at: datetime | None = None,
        *,
        if_match: datetime | None = None,
        idempotency_key: str | None = None,
    ) -> Document:
        """Write a version again, as a new one; without ``updated_at`` a deleted document's last.

        Raises:
            NotFound: there is no such version.
            Conflict: its bytes are gone.
            PreconditionFailed: the document has another version than ``if_match``.
        """
        make = self._request(
            "POST",
            f"/documents/{document_id}/restore",
            body=RestoreRequest(updated_at=updated_at),
            headers=condition(if_match) | key_header(idempotency_key),
        )
        return (await self._ask(make, Success[DocumentData])).document
