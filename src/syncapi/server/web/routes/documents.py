"""Documents, one at a time."""

from http import HTTPStatus
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import Response

from syncapi.protocol.base import Instant, Success
from syncapi.protocol.documents import (
    DeletedDocument,
    DocumentChanges,
    DocumentData,
    DocumentList,
    DownloadUrl,
    Folder,
    Pagination,
)
from syncapi.protocol.filenames import LONGEST_FILENAME
from syncapi.server.domain.listing import Listing
from syncapi.server.web.dependencies import (
    DeleteScope,
    ReadScope,
    RunningService,
    WriteScope,
)
from syncapi.server.web.openapi import header, problems, tenant_router
from syncapi.server.web.preconditions import IfMatch, IfNoneMatch, document_answer, etag
from syncapi.server.web.responses import success

router: APIRouter = tenant_router("documents")

# The converter keeps the paths of /documents/sync and its like out of here: they answer 405.
DOCUMENT_PATH: Final = "/documents/{document_id:uuid}"

DocumentId = Annotated[UUID, Path(description="The document.")]


async def listing(
    *,
    page: Annotated[int, Query(ge=1, le=1_000_000, description="From 1.")] = 1,
    per_page: Annotated[int, Query(ge=1, le=100, description="Documents to a page.")] = 20,
    folder: Annotated[
        Folder | None,
        Query(description="Only documents that stand in this folder itself; empty for the root."),
    ] = None,
    filename: Annotated[
        str | None,
        Query(
            description="A part of the file name, without regard to case.",
            max_length=LONGEST_FILENAME,
            pattern=r"^[^\x00]*$",
            examples=["report"],
        ),
    ] = None,
    modified_after: Annotated[
        Instant | None, Query(description="Only those with a later `updated_at`.")
    ] = None,
    modified_before: Annotated[
        Instant | None, Query(description="Only those with an earlier `updated_at`.")
    ] = None,
    created_after: Annotated[
        Instant | None, Query(description="Only those with a later `created_at`.")
    ] = None,
) -> Listing:
    """Which documents are asked for."""
    return Listing(
        page=page,
        per_page=per_page,
        folder=folder,
        filename=filename,
        modified_after=modified_after,
        modified_before=modified_before,
        created_after=created_after,
    )


@router.get(
    "/documents",
    operation_id="listDocuments",
    summary="List documents",
    response_model=Success[DocumentList],
)
async def list_documents(
    scope: ReadScope, service: RunningService, asked: Annotated[Listing, Depends(listing)]
) -> Response:
    """List the tenant's documents, newest first. Deleted ones are not listed.

    For people and small tenants: to keep a copy in step, use `pullChanges`.
    """
    found, total = await service.documents.page(scope, asked)
    pagination = Pagination(
        page=asked.page,
        per_page=asked.per_page,
        total=total,
        pages=-(-total // asked.per_page),
    )
    data = DocumentList(documents=list(found), pagination=pagination)
    return success(f"{len(found)} of {total} documents", data)


@router.get(
    DOCUMENT_PATH,
    operation_id="getDocument",
    summary="Read a document",
    response_model=Success[DocumentData],
    responses={
        200: {"description": "The document.", "headers": header("ETag")},
        304: {"description": "It still has the version of `If-None-Match`."},
    },
)
async def get_document(
    scope: ReadScope, document_id: DocumentId, service: RunningService, known: IfNoneMatch
) -> Response:
    """Read a document and what is known of its file."""
    document = await service.documents.get(scope, document_id)
    if known is not None and known.fits(document.updated_at):
        return Response(
            status_code=HTTPStatus.NOT_MODIFIED.value, headers={"ETag": etag(document.updated_at)}
        )
    return document_answer("Document found", document)


_CHANGED: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "The document as it is now.", "headers": header("ETag")},
    **problems(412, 413, 415),
}


@router.patch(
    DOCUMENT_PATH,
    operation_id="updateDocument",
    summary="Move, rename, retype or give new content",
    response_model=Success[DocumentData],
    responses=_CHANGED,
)
async def update_document(
    scope: WriteScope,
    document_id: DocumentId,
    changes: DocumentChanges,
    service: RunningService,
    condition: IfMatch,
) -> Response:
    """Change the fields that are sent; what stays the same makes no new version.

    With `If-Match` it is refused if another client has changed the document meanwhile.
    """
    document = await service.documents.change(scope, document_id, changes, condition)
    return document_answer("Document updated", document)


@router.put(
    DOCUMENT_PATH,
    operation_id="replaceDocument",
    summary="Move, rename, retype or give new content, by PUT",
    response_model=Success[DocumentData],
    responses=_CHANGED,
)
async def replace_document(
    scope: WriteScope,
    document_id: DocumentId,
    changes: DocumentChanges,
    service: RunningService,
    condition: IfMatch,
) -> Response:
    """Do as `updateDocument` does, for clients that cannot send PATCH."""
    document = await service.documents.change(scope, document_id, changes, condition)
    return document_answer("Document updated", document)


@router.delete(
    DOCUMENT_PATH,
    operation_id="deleteDocument",
    summary="Delete a document",
    response_model=Success[DeletedDocument],
    responses=problems(412),
)
async def delete_document(
    scope: DeleteScope,
    document_id: DocumentId,
    service: RunningService,
    condition: IfMatch,
    *,
    hard: Annotated[
        bool,
        Query(
            description="Also drop its history, and the bytes if nothing else refers to them "
            "(where a client was promised them within the last day, once that is over). "
            "Needs the permission `admin`; cannot be undone."
        ),
    ] = False,
) -> Response:
    """Delete a document. Clients learn of it by their next pull.

    Deleting what was deleted before succeeds, so that the request may be repeated.
    """
    delete = service.documents.erase if hard else service.documents.delete
    await delete(scope, document_id, condition)
    message = "Document erased" if hard else "Document deleted"
    return success(message, DeletedDocument(deleted_document_id=document_id, hard_delete=hard))


@router.get(
    f"{DOCUMENT_PATH}/download-url",
    operation_id="getDownloadUrl",
    summary="Get a URL to download a document",
    response_model=Success[DownloadUrl],
)
async def get_download_url(
    scope: ReadScope,
    document_id: DocumentId,
    service: RunningService,
    expires_in: Annotated[
        int, Query(ge=60, le=86_400, description="Seconds that the URL works for.")
    ] = 3600,
) -> Response:
    """Sign a URL that gives the bytes to anyone who has it, until it expires.

    Send no `Authorization` with it: S3 refuses a request that is signed twice.
    """
    return success("URL signed", await service.downloads.url(scope, document_id, expires_in))
