"""Documents, one at a time, and what they were."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from syncapi.client.api.forms import upload_form
from syncapi.client.api.requests import TenantRequests, condition, key_header
from syncapi.client.api.responses import data_of
from syncapi.client.api.steps import as_of, made_by
from syncapi.client.errors import NotFound, PreconditionFailed
from syncapi.client.transfer.contents import AnyContent, content_of
from syncapi.protocol.base import Success
from syncapi.protocol.documents import (
    DeletedDocument,
    Document,
    DocumentChanges,
    DocumentData,
    DocumentList,
    DownloadUrl,
)
from syncapi.protocol.history import (
    MOST_NAMED,
    DocumentHistory,
    DocumentVersion,
    NamedVersion,
    RestoreRequest,
    UnknownVersions,
    VersionsRequest,
)
from syncapi.protocol.media_types import media_type_of
from syncapi.protocol.versions import NO_VERSION

Result = TypeVar("Result")


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
        """Change the fields that are given; what others changed meanwhile is never overwritten.

        Args:
            document_id: of which document.
            changes: what is None stays as it is.
            if_match: the version that it must still have; without it, that which it has is asked
                for first.

        Returns:
            The document as it became by that, even if others have changed it since.

        Raises:
            PreconditionFailed: it has another one.
        """

        async def ask(version: datetime) -> Document:
            make = self._request(
                "PATCH", f"/documents/{document_id}", body=changes, headers=condition(version)
            )
            return (await self._ask(make, Success[DocumentData])).document

        async def done(version: datetime) -> Document | None:
            before, after = await self._steps(document_id, version)
            made = made_by(changes, before, after)
            if made is None:
                return None
            return as_of(await self.document(document_id), made)

        return await self._by_version(document_id, if_match, ask, done)

    async def delete_document(
        self, document_id: UUID, *, hard: bool = False, if_match: datetime | None = None
    ) -> DeletedDocument:
        """Delete a document; ``hard`` drops its history too, and cannot be undone.

        What is restored meanwhile is not deleted again. Without ``if_match`` the document's
        version is asked for first.

        Raises:
            PreconditionFailed: it has another version than ``if_match``.
        """

        async def ask(version: datetime) -> DeletedDocument:
            make = self._request(
                "DELETE",
                f"/documents/{document_id}",
                query={"hard": hard},
                headers=condition(version),
            )
            return await self._ask(make, Success[DeletedDocument])

        async def done(version: datetime) -> DeletedDocument | None:
            is_done = await self._is_deleted_since(document_id, version, hard=hard)
            deleted = DeletedDocument(deleted_document_id=document_id, hard_delete=hard)
            return deleted if is_done else None

        return await self._by_version(document_id, if_match, ask, done)

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
            filename: the name of the document.
            mime_type: by default the one of the name's extension.
            folder: the folder of the document; '' for the root.
            idempotency_key: a request that is sent again with the same key gives the same
                document, also after a crash; without it, only the retries in this call do.

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

    async def unknown_versions(
        self, versions: Iterable[tuple[UUID, datetime]]
    ) -> set[tuple[UUID, datetime]]:
        """Those of some versions, by document and time, that the server does not know.

        It has lost them, or never had them; or they were not pushed, and are older than the
        history reaches.
        """
        named = [NamedVersion(id=id_, updated_at=version) for id_, version in versions]
        found = set[tuple[UUID, datetime]]()
        for start in range(0, len(named), MOST_NAMED):
            body = VersionsRequest(versions=named[start : start + MOST_NAMED])
            make = self._request("POST", "/documents/versions/unknown", body=body)
            answer = await self._ask(make, Success[UnknownVersions])
            found |= {(version.id, version.updated_at) for version in answer.unknown}
        return found

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

    async def _by_version(
        self,
        document_id: UUID,
        given: datetime | None,
        ask: Callable[[datetime], Awaitable[Result]],
        done: Callable[[datetime], Awaitable[Result | None]],
    ) -> Result:
        """Carry out a request that would do something twice if it were repeated blindly.

        All attempts name one version. If a repeat finds another version, either the attempt whose
        answer was lost has changed it, or another client.

        Args:
            document_id: of which document.
            given: the version that the caller named. Without it the one that the document has is
                taken, and taken anew where others were quicker.
            ask: sends it, for a version.
            done: what came of it, if an earlier attempt has carried it out.
        """
        for left in reversed(range(self.retry.attempts)):
            version = given or await self._version_of(document_id)
            try:
                return await ask(version)
            except PreconditionFailed as refused:
                outcome = await done(version) if refused.attempts > 1 else None
                if outcome is not None:
                    return outcome
                if given is not None or not left:
                    raise
        raise AssertionError("there is one attempt at least")

    async def _version_of(self, document_id: UUID) -> datetime:
        """The version of a document, deleted or not; of one that there is not, one of no document.

        The server itself then says what is wrong.
        """
        try:
            return (await self.document(document_id)).updated_at
        except NotFound:
            pass
        try:
            return (await self.history(document_id, per_page=1)).versions[0].updated_at
        except NotFound:
            return NO_VERSION

    async def _steps(
        self, document_id: UUID, version: datetime
    ) -> tuple[DocumentVersion | None, DocumentVersion | None]:
        """A version and the one that came after it, where the history still has them."""
        after = None
        async for found in self.versions(document_id):
            if found.updated_at <= version:
                return (found, after) if found.updated_at == version else (None, None)
            after = found
        return None, None

    async def _is_deleted_since(self, document_id: UUID, version: datetime, *, hard: bool) -> bool:
        """Whether a document that is there was deleted, as of a version, and has come back."""
        if hard:  # with its history: what has its id now was made later
            try:
                return (await self.document(document_id)).created_at > version
            except NotFound:
                return False
        before, after = await self._steps(document_id, version)
        return any(step is not None and step.is_deleted for step in (before, after))
