"""What every generated Python client must be able to do against a running service."""

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

import httpx

ROWS_TO_A_PAGE = 2
# Every byte, line ends of both kinds, nothing that is UTF-8: what a text codec would harm.
BINARY = bytes(range(256)) * 1_200 + b"\r\n\n\r\x00\xff\xfe\x80"
NAMES = ("plan.bin", "relevé annuel.bin", "notes.txt")


@dataclass(frozen=True, slots=True)
class Document:
    """`url` is known of documents that were pulled."""

    id: UUID
    filename: str
    updated_at: datetime
    sha256: str
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    documents: list[Document]
    deleted: list[UUID]
    token: str
    has_more: bool


@dataclass(frozen=True, slots=True)
class Result:
    """`resolution`, `fields` and `server` are those of a conflict."""

    status: str
    resolution: str | None
    fields: list[str]
    server: Document | None


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem document as the generated client typed it."""

    status: int
    code: str
    detail: str
    fields: list[str]


class Client(Protocol):
    """A generated client behind what the scenario asks of it."""

    def upload(self, filename: str, content: bytes) -> Document: ...

    def pull(self, token: str | None) -> Page: ...

    def rename(self, document: Document, filename: str) -> Result: ...

    def delete(self, document: Document) -> Result: ...

    def archive(self, documents: list[UUID]) -> bytes: ...

    def problem_of_document(self, document: UUID) -> Problem: ...

    def problem_of_pull_without_start(self) -> Problem: ...


@dataclass(frozen=True, slots=True)
class Access:
    """Where the service is, and as whom to speak to it."""

    url: str
    tenant: UUID
    token: str


def access() -> Access:
    """What the environment says."""
    return Access(
        os.environ["SYNCAPI_URL"],
        UUID(os.environ["SYNCAPI_TENANT"]),
        os.environ["SYNCAPI_TOKEN"],
    )


def run(client: Client) -> None:
    """Run the scenario in an empty tenant.

    Raises:
        AssertionError: the client or the service did something else.
    """
    contents = {name: BINARY + name.encode() for name in NAMES}
    uploaded = {name: client.upload(name, content) for name, content in contents.items()}
    for name, document in uploaded.items():
        assert document.filename == name, (document.filename, name)
        assert document.sha256 == _sha256(contents[name]), f"{name} was harmed on its way up"
    print(f"  uploaded {len(uploaded)} binary files, hashes agree")

    token = _check_first_pull(client, contents)
    _check_conflict(client, uploaded[NAMES[0]])
    _check_deletion(client, uploaded[NAMES[2]], token)
    _check_problems(client, uploaded[NAMES[2]].id)
    _check_archive(client, [uploaded[name].id for name in NAMES[:2]], contents)


def _check_first_pull(client: Client, contents: dict[str, bytes]) -> str:
    pages = list(_pages(client, None))
    pulled = [document for page in pages for document in page.documents]
    assert len(pages) > 1
    assert sorted(document.filename for document in pulled) == sorted(contents)
    for document in pulled:
        assert document.url is not None
        answer = httpx.get(document.url, trust_env=False).raise_for_status()
        assert answer.content == contents[document.filename], f"{document.filename} was harmed"
    print(f"  pulled {len(pages)} pages, downloads are byte for byte the same")
    return pages[-1].token


def _check_conflict(client: Client, document: Document) -> None:
    assert client.rename(document, "first.bin").status == "applied"
    second = client.rename(document, "second.bin")
    assert (second.status, second.resolution) == ("conflict", "open")
    assert second.fields == ["filename"]
    assert second.server is not None
    assert second.server.filename == "first.bin"
    settled = client.rename(second.server, "settled.bin")
    assert settled.status == "applied", "the version did not survive the client"
    print("  pushed a conflict, and settled it")


def _check_deletion(client: Client, document: Document, token: str) -> None:
    assert client.delete(document).status == "applied"
    deleted = [gone for page in _pages(client, token) for gone in page.deleted]
    assert deleted == [document.id]
    print("  pushed a deletion, and pulled it")


def _check_problems(client: Client, deleted: UUID) -> None:
    missing = client.problem_of_document(deleted)
    assert (missing.status, missing.code, missing.fields) == (404, "not_found", [])
    assert missing.detail
    invalid = client.problem_of_pull_without_start()
    assert (invalid.status, invalid.code) == (400, "invalid_request")
    assert "since" in invalid.fields, invalid.fields
    print("  read typed problems of 404 and 400")


def _check_archive(client: Client, ids: list[UUID], contents: dict[str, bytes]) -> None:
    archive = zipfile.ZipFile(io.BytesIO(client.archive(ids)))
    manifest = json.loads(archive.read("manifest.json"))
    members = [archive.read(entry["name"]) for entry in manifest["documents"]]
    assert members == [contents[name] for name in NAMES[:2]]
    print("  downloaded a zip, members are byte for byte the same")


def _pages(client: Client, token: str | None) -> Iterator[Page]:
    page = client.pull(token)
    yield page
    while page.has_more:
        page = client.pull(page.token)
        yield page


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
