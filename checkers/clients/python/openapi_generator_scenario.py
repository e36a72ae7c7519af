"""The client that openapi-generator makes for Python."""

from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID, uuid4

import openapi_generator_client as generated
from scenario import ROWS_TO_A_PAGE, Access, Document, Page, Problem, Result, access, run


class OpenApiGeneratorClient:
    def __init__(self, access: Access) -> None:
        configuration = generated.Configuration(host=access.url, access_token=access.token)
        api = generated.ApiClient(configuration)
        self._tenant = access.tenant
        self._documents = generated.DocumentsApi(api)
        self._sync = generated.SyncApi(api)

    def upload(self, filename: str, content: bytes) -> Document:
        # Bytes alone would be called "file": the tuple brings the name.
        answer = self._documents.create_document(self._tenant, (filename, content))
        return _document(answer.data.document)

    def pull(self, token: str | None) -> Page:
        page = self._sync.pull_changes(
            self._tenant,
            since=None if token else datetime.fromtimestamp(0, UTC),
            cursor=token,
            per_page=ROWS_TO_A_PAGE,
        ).data
        documents = [_document(document) for document in page.added + page.modified]
        deleted = [tombstone.id for tombstone in page.deleted]
        return Page(documents, deleted, page.sync_token, page.has_more)

    def rename(self, document: Document, filename: str) -> Result:
        return self._push(
            generated.UpdateChange(
                op="update",
                change_id=uuid4(),
                id=document.id,
                base_updated_at=document.updated_at,
                filename=filename,
            )
        )

    def delete(self, document: Document) -> Result:
        return self._push(
            generated.DeleteChange(
                op="delete",
                change_id=uuid4(),
                id=document.id,
                base_updated_at=document.updated_at,
            )
        )

    def archive(self, documents: list[UUID]) -> bytes:
        request = generated.ArchiveRequest(document_ids=documents, format="zip")
        return bytes(self._documents.download_archive(self._tenant, request))

    def problem_of_document(self, document: UUID) -> Problem:
        return _problem(lambda: self._documents.get_document(document, self._tenant))

    def problem_of_pull_without_start(self) -> Problem:
        return _problem(lambda: self._sync.pull_changes(self._tenant))

    def _push(self, change: generated.UpdateChange | generated.DeleteChange) -> Result:
        request = generated.PushRequest(changes=[generated.PushedChange(change)])
        [result] = self._sync.push_changes(self._tenant, request).data.results
        conflict = result.conflict
        if conflict is None:
            return Result(result.status, None, [], None)
        server = _document(conflict.server) if conflict.server else None
        return Result(result.status, conflict.resolution, conflict.fields, server)


def _document(document: generated.Document | generated.SyncedDocument) -> Document:
    url = document.download_url if isinstance(document, generated.SyncedDocument) else None
    return Document(
        document.id, document.filename, document.updated_at, document.file.sha256_hash, url
    )


def _problem(call: Callable[[], object]) -> Problem:
    try:
        call()
    except generated.ApiException as error:
        problem = error.data
        assert isinstance(problem, generated.Problem)
        fields = [wrong.var_field for wrong in problem.errors]
        return Problem(problem.status, problem.code, problem.detail, fields)
    raise AssertionError("no problem was raised")


if __name__ == "__main__":
    run(OpenApiGeneratorClient(access()))
