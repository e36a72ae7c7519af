"""Archives: many documents in one download."""

from typing import Any, Final

from fastapi import APIRouter
from starlette.responses import Response

from syncapi.protocol.archives import ArchiveRequest
from syncapi.server.usecases.archives.archive import WRITERS
from syncapi.server.web.dependencies import ReadScope, RunningService
from syncapi.server.web.openapi import tenant_router
from syncapi.server.web.streaming import Streamed

router: APIRouter = tenant_router("documents")

_BINARY: Final = {"schema": {"type": "string", "format": "binary"}}
_ARCHIVE: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The archive, sent while it is made.",
        "content": {writer.media_type: _BINARY for writer in WRITERS.values()},
        "headers": {
            "Content-Disposition": {
                "description": "An attachment with a file name.",
                "schema": {"type": "string"},
            }
        },
    }
}


@router.post(
    "/documents/batch-download",
    operation_id="downloadArchive",
    summary="Download many documents as one archive",
    response_class=Response,
    responses=_ARCHIVE,
)
async def download_archive(
    scope: ReadScope, request: ArchiveRequest, service: RunningService
) -> Response:
    """Download up to 500 documents as one ZIP or TAR archive.

    A member stands in the folder of its document. Names are made safe for every system, and
    paths unique: the second `report.pdf` of a folder is `report (2).pdf`. Times are those of the
    documents' versions.

    The last member is `manifest.json`: for each id that was asked for, in order, the document's
    own folder and name, its path in the archive, size and SHA-256, or why it is not there. Ids of
    documents that do not exist, were deleted or are not yours make no error; the manifest names
    them.

    If the bytes of a document cannot be read to the end, the connection is cut: a download that
    ends without error is complete. It cannot be resumed; ask again.
    """
    pieces = service.archives.pieces(scope, request)
    name = f'attachment; filename="documents.{request.format}"'
    return await Streamed.begin(
        pieces,
        stall_seconds=service.archives.stall_seconds,
        media_type=WRITERS[request.format].media_type,
        headers={"Content-Disposition": name, "Accept-Ranges": "none"},
    )
