"""The client: every request of the API, typed, and whole transfers."""

from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

import anyio.to_thread

from syncapi.client.api.documents import DocumentRequests
from syncapi.client.api.feed import FeedRequests
from syncapi.client.api.files import FileRequests
from syncapi.client.errors import ApiError, Conflict, Forbidden, NotFound, UnsupportedType
from syncapi.client.transfer.contents import AnyContent, content_of, digest_of
from syncapi.client.transfer.downloads import Downloader, wanted_of
from syncapi.client.transfer.sinks import PartFile
from syncapi.client.transfer.uploads import Uploader
from syncapi.protocol.base import Success
from syncapi.protocol.documents import Document
from syncapi.protocol.health import ReadinessReport
from syncapi.protocol.media_types import media_type_of
from syncapi.protocol.push import ChangeProblem, ChangeResult, CreateChange


class Client(FeedRequests, DocumentRequests, FileRequests):
    """Speaks to the API as one user of one tenant.

    Every request is repeated after failures that may pass, and none is carried out twice by
    that. All methods raise `Unreachable` if there is no answer in the end, and the `ApiError` of
    what the server says otherwise; beside a method stand those to reckon with.

    Use it as an asynchronous context manager, or call `aclose`.
    """

    async def ready(self) -> ReadinessReport:
        """Whether the service can do its work; needs no token, and is not repeated.

        Raises:
            ServerError: it is not ready; `problem.errors` names what is down.
        """
        return await self._ask_openly("/readyz", Success[ReadinessReport])

    async def download(self, document_id: UUID, target: Path) -> Document:
        """Fetch a document's bytes into a file, which appears once it is whole and verified.

        After a failure the same call goes on where the last one ended.

        Args:
            document_id: of which document.
            target: the file; if there is one, it is replaced.

        Raises:
            TransferError: the bytes cannot be had, or are not the document's.
            NotFound: there is no such document.
            OSError: the file cannot be written.
        """
        document = await self.document(document_id)
        part = PartFile.beside(target, f"{wanted_of(document).sha256_hash}-{document.id}")
        await Downloader(self).fetch(document, part)
        await anyio.to_thread.run_sync(part.place, target)
        return document

    async def upload(
        self,
        content: AnyContent,
        filename: str | None = None,
        mime_type: str | None = None,
        *,
        folder: str = "",
    ) -> Document:
        """Make a document of a file, straight to the object store and in parts if it is large.

        After a failure the same call sends only what has not arrived.

        Args:
            content: the bytes, or the path of their file.
            filename: of the document; else that of the file.
            mime_type: else that of the name's extension.
            folder: of the document; '' for the root.

        Raises:
            TooLarge, UnsupportedType: it is not taken.
            SourceChanged: the file changed meanwhile.
            TransferError: the object store does not take it.
            OSError: the file cannot be read.
        """
        name = filename or (content.name if isinstance(content, Path) else None)
        if name is None:
            raise ValueError("name the document: bytes have no file name")
        source, kind = content_of(content), mime_type or media_type_of(name)
        digest = await anyio.to_thread.run_sync(digest_of, source)
        file = await Uploader(self).send(source, digest, kind)
        change = CreateChange(
            op="create",
            change_id=uuid4(),
            id=uuid4(),
            filename=name,
            mime_type=kind,
            file_id=file.id,
            folder=folder,
        )
        return created((await self.push([change])).results[0])


def created(result: ChangeResult) -> Document:
    """The document that a change has made.

    Raises:
        ApiError: it was rejected.
    """
    if result.document is None or result.problem is not None:
        raise _rejection(result.problem)
    return result.document


_REJECTIONS: Final[Mapping[str, tuple[type[ApiError], HTTPStatus]]] = {
    "not_found": (NotFound, HTTPStatus.NOT_FOUND),
    "forbidden": (Forbidden, HTTPStatus.FORBIDDEN),
    "unsupported_type": (UnsupportedType, HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
}


def _rejection(problem: ChangeProblem | None) -> ApiError:
    """The exception for a change that was not carried out."""
    code, detail = (
        (problem.code, problem.detail)
        if problem is not None
        else ("conflict", "Somebody else has made and erased a document with this id.")
    )
    kind, status = _REJECTIONS.get(code, (Conflict, HTTPStatus.CONFLICT))
    return kind.told_here(status.value, code, detail)
