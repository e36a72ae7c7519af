"""The past of a document."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from syncapi.protocol.base import Instant, Success
from syncapi.protocol.documents import DocumentData
from syncapi.protocol.history import (
    DocumentHistory,
    RestoreRequest,
    UnknownVersions,
    VersionsRequest,
)
from syncapi.server.web.dependencies import ReadScope, RunningService, WriteScope
from syncapi.server.web.idempotency import IdempotencyKey
from syncapi.server.web.openapi import header, problems, tenant_router
from syncapi.server.web.preconditions import IfMatch, document_answer
from syncapi.server.web.responses import success
from syncapi.server.web.routes.documents import DOCUMENT_PATH, DocumentId

router: APIRouter = tenant_router("documents")


@router.get(
    f"{DOCUMENT_PATH}/history",
    operation_id="listVersions",
    summary="List the versions of a document",
    response_model=Success[DocumentHistory],
)
async def list_versions(
    scope: ReadScope,
    document_id: DocumentId,
    service: RunningService,
    before: Annotated[
        Instant | None, Query(description="Only versions older than this one.")
    ] = None,
    per_page: Annotated[int, Query(ge=1, le=100, description="Versions to a page.")] = 20,
) -> Response:
    """List who changed the document and when, newest first, also of a deleted document."""
    found, has_older = await service.history.versions(
        scope, document_id, before=before, most=per_page
    )
    next_before = found[-1].updated_at if has_older else None
    data = DocumentHistory(versions=list(found), next_before=next_before)
    return success(f"{len(found)} versions", data)


@router.post(
    "/documents/versions/unknown",
    operation_id="findUnknownVersions",
    summary="Find which versions the server has lost",
    response_model=Success[UnknownVersions],
    responses=problems(413, 415),
)
async def find_unknown_versions(
    scope: ReadScope, asked: VersionsRequest, service: RunningService
) -> Response:
    """Name those of some versions that the server does not know; nothing is changed.

    A version that was pushed is known for as long as deletions are, also where the history is
    shorter and after the document was erased. So a client whose pushed version was overtaken
    finds out whether others came after it, or the server has lost it.
    """
    unknown = await service.history.unknown(scope, asked.versions)
    return success(f"{len(unknown)} unknown", UnknownVersions(unknown=unknown))


@router.post(
    f"{DOCUMENT_PATH}/restore",
    operation_id="restoreDocument",
    summary="Bring back a version",
    response_model=Success[DocumentData],
    responses={
        200: {"description": "The document as it is now.", "headers": header("ETag")},
        **problems(409, 412, 413, 415),
    },
)
async def restore_document(
    scope: WriteScope,
    document_id: DocumentId,
    asked: RestoreRequest,
    service: RunningService,
    condition: IfMatch,
    key: IdempotencyKey,
) -> Response:
    """Write a version of the history again, as a new version; nothing of the history is lost.

    It also brings back a deleted document. Doing it twice changes nothing more.
    """
    document = await service.history.restore(scope, document_id, asked.updated_at, condition, key)
    return document_answer("Document restored", document)
