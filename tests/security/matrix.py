"""The matrix: every way to use every route, and how what is another's is not found there."""

import io
import json
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import md5, sha256
from secrets import token_bytes
from typing import Any
from uuid import UUID

import httpx
from fastapi.routing import APIRoute
from typing_extensions import override

from fixtures.pulling import BEGINNING, problem_of
from fixtures.pushing import create, delete, update
from syncapi.server.domain.access import Permission
from syncapi.server.web.app import build_app
from syncapi.server.web.openapi import TENANT_PREFIX

Request = dict[str, Any]
ROUTES = {
    route.operation_id: route
    for route in build_app().routes
    if isinstance(route, APIRoute) and route.path.startswith(TENANT_PREFIX)
}


@dataclass(frozen=True)
class Things:
    """What a caller names in a request: `upload` is one that has not been completed."""

    document: str
    version: str
    file: str
    upload: str
    cursor: str


def declaration(content: bytes) -> dict[str, Any]:
    """What is declared of a file before it is uploaded."""
    return {
        "sha256_hash": sha256(content).hexdigest(),
        "md5_hash": md5(content, usedforsecurity=False).hexdigest(),
        "file_size": len(content),
        "mime_type": "text/plain",
    }


def _plain(_: Things) -> Request:
    return {}


def _hits_nothing(answer: httpx.Response) -> None:
    problem_of(answer, 404, "not_found")


def _is_no_cursor(answer: httpx.Response) -> None:
    problem_of(answer, 400, "invalid_cursor")


def _is_no_file(answer: httpx.Response) -> None:
    problem_of(answer, 400, "invalid_request")


def _comes_to_nothing(answer: httpx.Response) -> None:
    assert answer.status_code == 200
    (result,) = answer.json()["data"]["results"]
    assert result["status"] in {"rejected", "unchanged"}


def _is_not_in_the_archive(answer: httpx.Response) -> None:
    (entry,) = manifest_of(answer)
    assert entry["error"]["code"] == "not_found"


def _is_unknown(answer: httpx.Response) -> None:
    assert answer.status_code == 200
    assert len(answer.json()["data"]["unknown"]) == 1


@dataclass(frozen=True)
class Row:
    """One way to use a route.

    Attributes:
        succeeds: the status for a member who may.
        request: the request, for what it is to be about.
        alien: the things in it that, of another tenant, must not be found.
        refused: how they are not found; a function of the answer.
        file: which of the things is the file of the path.
    """

    operation: str
    permission: Permission
    succeeds: int = 200
    request: Callable[[Things], Request] = _plain
    alien: tuple[str, ...] = ()
    refused: Callable[[httpx.Response], None] = _hits_nothing
    file: str = "file"
    name: str = ""

    @override
    def __str__(self) -> str:
        return f"{self.operation} {self.name}".strip()

    def send(self, url: str, token: str | None, tenant: UUID, things: Things) -> httpx.Response:
        """Send it, to the path of a tenant."""
        route = ROUTES[self.operation]
        method = next(iter(route.methods or ()))
        path = route.path_format.format(
            tenant_id=tenant, document_id=things.document, file_id=getattr(things, self.file)
        )
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=url, timeout=60) as client:
            return client.request(method, path, headers=headers, **self.request(things))


def _push(change: Callable[[Things], dict[str, Any]]) -> Callable[[Things], Request]:
    return lambda things: {"json": {"changes": [change(things)]}}


READ, WRITE, DELETE, ADMIN = Permission
_DOCUMENT = ("document",)
ROWS = [
    Row("pullChanges", READ, request=lambda _: {"params": {"since": BEGINNING}}, name="since"),
    Row(
        "pullChanges",
        READ,
        request=lambda it: {"params": {"cursor": it.cursor}},
        alien=("cursor",),
        refused=_is_no_cursor,
        name="cursor",
    ),
    Row(
        "pushChanges",
        WRITE,
        request=_push(lambda it: create(UUID(it.file))),
        alien=("file",),
        refused=_comes_to_nothing,
        name="create",
    ),
    Row(
        "pushChanges",
        WRITE,
        request=_push(lambda it: update(UUID(it.document), it.version, filename="pushed")),
        alien=("document", "version"),
        refused=_comes_to_nothing,
        name="update",
    ),
    Row(
        "pushChanges",
        WRITE,
        request=_push(lambda it: update(UUID(it.document), it.version, file_id=it.file)),
        alien=("file",),
        refused=_comes_to_nothing,
        name="update of the file",
    ),
    Row(
        "pushChanges",
        WRITE,
        request=_push(lambda it: delete(UUID(it.document), it.version)),
        alien=("document", "version"),
        refused=_comes_to_nothing,
        name="delete",
    ),
    Row("createDocument", WRITE, 201, lambda _: {"files": {"file": ("new.txt", b"new")}}),
    Row(
        "downloadArchive",
        READ,
        request=lambda it: {"json": {"document_ids": [it.document]}},
        alien=_DOCUMENT,
        refused=_is_not_in_the_archive,
    ),
    Row("listDocuments", READ),
    Row("getDocument", READ, alien=_DOCUMENT),
    Row("updateDocument", WRITE, request=lambda _: {"json": {"filename": "x"}}, alien=_DOCUMENT),
    Row(
        "updateDocument",
        WRITE,
        request=lambda it: {"json": {"file_id": it.file}},
        alien=("file",),
        refused=_is_no_file,
        name="file",
    ),
    Row("replaceDocument", WRITE, request=lambda _: {"json": {"filename": "x"}}, alien=_DOCUMENT),
    Row("deleteDocument", DELETE, alien=_DOCUMENT),
    Row(
        "deleteDocument",
        ADMIN,
        request=lambda _: {"params": {"hard": "true"}},
        alien=_DOCUMENT,
        name="hard",
    ),
    Row("getDownloadUrl", READ, alien=_DOCUMENT),
    Row("listVersions", READ, alien=_DOCUMENT),
    Row(
        "findUnknownVersions",
        READ,
        request=lambda it: {"json": {"versions": [{"id": it.document, "updated_at": it.version}]}},
        alien=("document", "version"),
        refused=_is_unknown,
    ),
    Row("restoreDocument", WRITE, request=lambda _: {"json": {}}, alien=_DOCUMENT),
    Row(
        "restoreDocument",
        WRITE,
        request=lambda it: {"json": {"updated_at": it.version}},
        alien=("document", "version"),
        name="version",
    ),
    Row("declareFile", WRITE, request=lambda _: {"json": declaration(token_bytes(8))}),
    Row("getFile", WRITE, alien=("file",)),
    Row("getFile", WRITE, alien=("upload",), file="upload", name="upload"),
    Row("completeFile", WRITE, alien=("file",)),
    Row("completeFile", WRITE, succeeds=409, alien=("upload",), file="upload", name="upload"),
]


def words_of(answer: httpx.Response) -> tuple[int, str]:
    """What an answer says, whatever it is about."""
    said = manifest_of(answer) if is_archive(answer) else answer.json()
    if isinstance(said, dict):
        said.pop("request_id", None)
    text = json.dumps(said, sort_keys=True)
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "<id>", text)
    return answer.status_code, re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "<time>", text)


def is_archive(answer: httpx.Response) -> bool:
    return answer.headers["content-type"] == "application/zip"


def manifest_of(answer: httpx.Response) -> list[dict[str, Any]]:
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        documents: list[dict[str, Any]] = json.loads(archive.read("manifest.json"))["documents"]
    return documents
