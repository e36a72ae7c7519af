"""The client that openapi-python-client makes."""

import io
from datetime import UTC, datetime
from typing import TypeVar
from uuid import UUID, uuid4

from openapi_python_client_client import AuthenticatedClient, models
from openapi_python_client_client.api.documents import (
    create_document,
    download_archive,
    get_document,
)
from openapi_python_client_client.api.sync import pull_changes, push_changes
from openapi_python_client_client.types import UNSET, File
from scenario import ROWS_TO_A_PAGE, Access, Document, Page, Problem, Result, access, run

T = TypeVar("T")


class OpenApiPythonClient:
    def __init__(self, access: Access) -> None:
        self._api = AuthenticatedClient(base_url=access.url, token=access.token)
        self._tenant = access.tenant

    def upload(self, filename: str, content: bytes) -> Document:
        body = models.CreateDocumentBody(File(io.BytesIO(content), filename))
        answer = create_document.sync(self._tenant, client=self._api, body=body)
        return _document(_success(answer).data.document)

    def pull(self, token: str | None) -> Page:
        answer = pull_changes.sync(
            self._tenant,
            client=self._api,
            since=UNSET if token else datetime.fromtimestamp(0, UTC),
            cursor=token or UNSET,
            per_page=ROWS_TO_A_PAGE,
        )
        page = _success(answer).data
        documents = [_document(document) for document in page.added + page.modified]
        deleted = [tombstone.id for tombstone in page.deleted]
        return Page(documents, deleted, page.sync_token, page.has_more)

    def rename(self, document: Document, filename: str) -> Result:
        return self._push(
            models.UpdateChange(
                op="update",
                change_id=uuid4(),
                id=document.id,
                base_updated_at=document.updated_at,
                filename=filename,
            )
        )

    def delete(self, document: Document) -> Result:
        return self._push(
            models.DeleteChange(
                op="delete",
                change_id=uuid4(),
                id=document.id,
                base_updated_at=document.updated_at,
            )
        )

    def archive(self, documents: list[UUID]) -> bytes:
        request = models.ArchiveRequest(documents, models.ArchiveRequestFormat.ZIP)
        answer = download_archive.sync(self._tenant, client=self._api, body=request)
        return _success(answer).payload.read()

    def problem_of_document(self, document: UUID) -> Problem:
        answer = get_document.sync_detailed(self._tenant, document, client=self._api)
        return _problem(answer.parsed)

    def problem_of_pull_without_start(self) -> Problem:
        return _problem(pull_changes.sync(self._tenant, client=self._api))

    def _push(self, change: models.UpdateChange | models.DeleteChange) -> Result:
        request = models.PushRequest(changes=[change])
        answer = push_changes.sync(self._tenant, client=self._api, body=request)
        [result] = _success(answer).data.results
        conflict = result.conflict
        if conflict is None:
            return Result(result.status.value, None, [], None)
        server = _document(conflict.server) if conflict.server else None
        resolution = conflict.resolution.value
        return Result(result.status.value, resolution, conflict.fields, server)


def _document(document: models.Document | models.SyncedDocument) -> Document:
    url = document.download_url if isinstance(document, models.SyncedDocument) else None
    return Document(
        document.id, document.filename, document.updated_at, document.file.sha256_hash, url
    )


def _success(answer: T | models.Problem | None) -> T:
    assert answer is not None
    assert not isinstance(answer, models.Problem), answer
    return answer


def _problem(answer: object) -> Problem:
    assert isinstance(answer, models.Problem), answer
    fields = [wrong.field for wrong in answer.errors]
    return Problem(answer.status, answer.code, answer.detail, fields)


if __name__ == "__main__":
    run(OpenApiPythonClient(access()))
