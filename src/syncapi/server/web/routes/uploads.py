"""Uploads: a form with a file becomes a document."""

from contextlib import aclosing
from http import HTTPStatus
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from syncapi.protocol.base import Success
from syncapi.protocol.documents import DocumentData
from syncapi.protocol.filenames import (
    FILENAME_PATTERN,
    FOLDER_PATTERN,
    LONGEST_FILENAME,
    LONGEST_FOLDER,
    last_component,
)
from syncapi.protocol.media_types import LONGEST_MEDIA_TYPE, MEDIA_TYPE_PATTERN
from syncapi.server.domain.field_checks import checked_filename, checked_folder
from syncapi.server.usecases.uploads import Description
from syncapi.server.web.dependencies import RunningService, WriteScope
from syncapi.server.web.idempotency import IdempotencyKey
from syncapi.server.web.multipart import Check, FileForm
from syncapi.server.web.openapi import header, problems, tenant_router
from syncapi.server.web.preconditions import document_answer

router: APIRouter = tenant_router("documents")

_UPLOAD: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": "The file, and what to call it. Fields may come in any order; the file "
        "is passed on while it arrives.",
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "additionalProperties": False,
                    "properties": {
                        "file": {
                            "type": "string",
                            "format": "binary",
                            "description": "The bytes.",
                        },
                        "filename": {
                            "type": "string",
                            "maxLength": LONGEST_FILENAME,
                            "pattern": f"^$|{FILENAME_PATTERN}",  # empty: as if it were not sent
                            "description": "Instead of the name that the part `file` brings.",
                            "example": "report.pdf",
                        },
                        "folder": {
                            "type": "string",
                            "maxLength": LONGEST_FOLDER,
                            "pattern": FOLDER_PATTERN,
                            "description": "Names of folders with `/` between them; the root "
                            "without it.",
                            "example": "reports/2026",
                        },
                        "mime_type": {
                            "type": "string",
                            "maxLength": LONGEST_MEDIA_TYPE,
                            "pattern": f"^$|{MEDIA_TYPE_PATTERN}",
                            "description": "Instead of the type of the part `file`; where that "
                            "has none either, the extension decides.",
                            "example": "application/pdf",
                        },
                    },
                }
            }
        },
    }
}
_LOCATION: Final = {
    "Location": {"description": "The path of the document.", "schema": {"type": "string"}}
}


@router.post(
    "/documents",
    operation_id="createDocument",
    summary="Upload a document",
    status_code=HTTPStatus.CREATED.value,
    response_model=Success[DocumentData],
    responses={
        201: {"description": "The new document.", "headers": {**header("ETag"), **_LOCATION}},
        **problems(409, 413, 415),
    },
    openapi_extra=_UPLOAD,
)
async def create_document(
    request: Request, scope: WriteScope, service: RunningService, key: IdempotencyKey
) -> Response:
    """Upload a file as a new document.

    The bytes are hashed on their way to S3. The same bytes are kept once per tenant: the answer
    names the file that has them. An upload that fails, or is broken off, leaves nothing. With
    an `Idempotency-Key` it may be repeated when its answer was lost.
    """
    checks: dict[str, Check] = {
        "folder": _check_folder,
        "filename": _check_filename,
        "mime_type": service.uploads.rules.check_type,
    }
    form = FileForm(request.headers.get("Content-Type", ""), request.stream(), checks)
    async with aclosing(form.chunks()) as chunks:
        document = await service.uploads.upload(scope, chunks, lambda: _description(form), key)
    location = f"{request.url.path}/{document.id}"
    return document_answer(
        "Document created",
        document,
        status=HTTPStatus.CREATED.value,
        headers={"Location": location},
    )


def _check_filename(name: str) -> None:
    checked_filename(name, "body.filename")


def _check_folder(folder: str) -> None:
    checked_folder(folder, "body.folder")


def _description(form: FileForm) -> Description:
    """What the fields say, else what the part says."""
    assert form.head is not None  # noqa: S101 - the chunks have ended, so there was a file
    own_name = last_component(form.head.filename or "")
    return Description(
        folder=form.fields.get("folder", ""),
        filename=form.fields.get("filename") or own_name or None,
        mime_type=form.fields.get("mime_type") or form.head.media_type or None,
    )
