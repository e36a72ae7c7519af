"""Files: uploads that go straight to the object store."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from syncapi.protocol.base import Success
from syncapi.protocol.content import Digest
from syncapi.protocol.files import MOST_PARTS_AT_ONCE, PARTS_AT_ONCE, FileDeclaration, FileState
from syncapi.server.domain.transfers import MOST_PARTS
from syncapi.server.usecases.upload_instructions import complete
from syncapi.server.web.dependencies import RunningService, WriteScope
from syncapi.server.web.idempotency import IdempotencyKey
from syncapi.server.web.openapi import problems, tenant_router
from syncapi.server.web.responses import success

router: APIRouter = tenant_router("files")

FILE_PATH: Final = "/files/{file_id:uuid}"

FileId = Annotated[UUID, Path(description="The `id` that `declareFile` gave.")]


@router.post(
    "/files",
    operation_id="declareFile",
    summary="Declare a file to upload",
    response_model=Success[FileState],
    responses={
        200: {"description": "The file, if the tenant has it, or how to upload it."},
        **problems(409, 413, 415),
    },
)
async def declare_file(
    scope: WriteScope,
    declared: FileDeclaration,
    service: RunningService,
    key: IdempotencyKey,
) -> Response:
    """Say which bytes are to be uploaded, and learn where to send them, if anywhere.

    Where the tenant has these bytes the answer is the file. Otherwise `PUT` each of `parts` to
    its `url` with the `headers` of the upload, then `completeFile`. Declaring the same bytes
    again finds the same upload, also without an `Idempotency-Key`: nothing that has arrived is
    sent twice.
    """
    digest = Digest(declared.md5_hash, declared.sha256_hash, declared.file_size)
    return _answer(await service.direct_uploads.declare(scope, digest, declared.mime_type, key))


@router.get(
    FILE_PATH,
    operation_id="getFile",
    summary="Follow an upload",
    response_model=Success[FileState],
    responses={200: {"description": "The file, or what is missing of it."}},
)
async def get_file(
    scope: WriteScope,
    file_id: FileId,
    service: RunningService,
    *,
    after: Annotated[
        int, Query(ge=0, le=MOST_PARTS, description="Only parts behind this one.")
    ] = 0,
    per_page: Annotated[
        int, Query(ge=1, le=MOST_PARTS_AT_ONCE, description="Missing parts to a page.")
    ] = PARTS_AT_ONCE,
) -> Response:
    """Learn what has arrived of an upload, with freshly signed URLs for what is missing.

    So an upload goes on after the client was started anew, or after its URLs expired.
    """
    return _answer(await service.direct_uploads.state(scope, file_id, after=after, most=per_page))


@router.post(
    f"{FILE_PATH}/complete",
    operation_id="completeFile",
    summary="Complete an upload",
    response_model=Success[FileState],
    responses={200: {"description": "The file; documents can refer to it."}, **problems(409)},
)
async def complete_file(scope: WriteScope, file_id: FileId, service: RunningService) -> Response:
    """Have the bytes verified and made a file.

    `upload_incomplete` names the parts to send first. `content_mismatch` says that the bytes are
    not the declared ones: they are deleted, and the file must be declared again. A large file
    is read to verify it, which takes a while; repeating the request is harmless, and after a
    time-out it is the way to go on. The answer may have another `id` than the upload, where the
    same bytes have arrived by another way meanwhile.
    """
    return _answer(complete(await service.completions.complete(scope, file_id)))


def _answer(state: FileState) -> Response:
    message = "File complete" if state.status == "complete" else "Upload under way"
    return success(message, state)
