# ruff: noqa: RUF001 - names in every script are what this is about
"""Batch downloads as a member sees them: over HTTP, read back by the standard library."""

import asyncio
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from fixtures.pulling import problem_of
from fixtures.service import MakeTenant, TestTenant
from fixtures.writing import MakeWriter, SqlWriter
from syncapi.protocol.archives import ArchiveManifest
from syncapi.protocol.documents import Document
from syncapi.server.storage.s3 import ObjectStore

CONTENTS = {
    "report.pdf": b"%PDF-1.7 " + bytes(range(256)) * 100,
    "Übersicht – 报告.txt": "Ünïcödé\n".encode() * 50,
    "empty.txt": b"",
    "CON.txt": b"a device",
    "photo.jpg": bytes(3_000_000),
}


@dataclass(frozen=True, slots=True)
class Unpacked:
    """An archive read back, whichever format it has: members in order, and their times."""

    contents: dict[str, bytes]
    times: dict[str, datetime]

    @property
    def manifest(self) -> ArchiveManifest:
        assert list(self.contents)[-1] == "manifest.json"
        raw = self.contents["manifest.json"]
        manifest = ArchiveManifest.model_validate_json(raw)
        assert manifest.model_dump(mode="json") == json.loads(raw)
        return manifest

    def errors(self) -> dict[UUID, str]:
        return {e.id: e.error.code for e in self.manifest.documents if e.error is not None}


def unzipped(raw: bytes) -> Unpacked:
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        infos = archive.infolist()
        assert archive.testzip() is None
        return Unpacked(
            {info.filename: archive.read(info) for info in infos},
            {info.filename: _extended_time(info.extra) for info in infos},
        )


def _extended_time(extra: bytes) -> datetime:
    assert extra[:5] == b"UT\x05\x00\x01"
    return datetime.fromtimestamp(int.from_bytes(extra[5:9], "little"), UTC)


def untarred(raw: bytes) -> Unpacked:
    contents, times = {}, {}
    with tarfile.open(fileobj=io.BytesIO(raw), mode="r:") as archive:
        for member in archive:
            file = archive.extractfile(member)
            assert file is not None
            contents[member.name] = file.read()
            times[member.name] = datetime.fromtimestamp(member.mtime, UTC)
    return Unpacked(contents, times)


UNPACK: dict[str, Callable[[bytes], Unpacked]] = {"zip": unzipped, "tar": untarred}
each_format = pytest.mark.parametrize("format_", ["zip", "tar"])


async def upload(
    client: httpx.AsyncClient, name: str, content: bytes, folder: str = ""
) -> Document:
    answer = await client.post(
        "/documents", files={"file": ("x", content)}, data={"filename": name, "folder": folder}
    )
    assert answer.status_code == 201, answer.text
    return Document.model_validate(answer.json()["data"]["document"])


async def ask(client: httpx.AsyncClient, *ids: UUID, **more: str) -> httpx.Response:
    body = {"document_ids": [str(document_id) for document_id in ids], **more}
    return await client.post("/documents/batch-download", json=body)


async def download(client: httpx.AsyncClient, *ids: UUID, format_: str = "zip") -> Unpacked:
    answer = await ask(client, *ids, format=format_)
    assert answer.status_code == 200, answer.text
    return UNPACK[format_](answer.content)


@pytest.fixture
async def documents(tenant: TestTenant) -> list[Document]:
    return [await upload(tenant.user, name, content) for name, content in CONTENTS.items()]


@pytest.fixture
async def writer(tenant: TestTenant, make_writer: MakeWriter) -> SqlWriter:
    return await make_writer(tenant.id)


@each_format
async def test_an_archive_has_what_was_uploaded(
    tenant: TestTenant, documents: list[Document], format_: str
) -> None:
    unpacked = await download(tenant.viewer, *(d.id for d in documents), format_=format_)
    manifest = unpacked.manifest
    assert [(e.id, e.filename) for e in manifest.documents] == [
        (d.id, d.filename) for d in documents
    ]
    for entry, document in zip(manifest.documents, documents, strict=True):
        assert entry.name is not None
        assert unpacked.contents[entry.name] == CONTENTS[document.filename]
        assert entry.size == len(CONTENTS[document.filename])
        assert entry.sha256 == hashlib.sha256(CONTENTS[document.filename]).hexdigest()
        assert (entry.mime_type, entry.updated_at) == (document.mime_type, document.updated_at)
        assert entry.error is None
        drift = document.updated_at - unpacked.times[entry.name]
        assert timedelta(0) <= drift < timedelta(seconds=1 if format_ == "zip" else 0.001)
    assert list(unpacked.contents) == [
        "report.pdf",
        "Übersicht – 报告.txt",
        "empty.txt",
        "_CON.txt",
        "photo.jpg",
        "manifest.json",
    ]


@each_format
async def test_the_answer_says_what_it_is(
    tenant: TestTenant, documents: list[Document], format_: str
) -> None:
    answer = await ask(tenant.viewer, documents[0].id, format=format_)
    types = {"zip": "application/zip", "tar": "application/x-tar"}
    assert answer.headers["content-type"] == types[format_]
    assert answer.headers["content-disposition"] == f'attachment; filename="documents.{format_}"'
    assert answer.headers["cache-control"] == "no-store"
    assert "content-encoding" not in answer.headers


async def test_zip_is_the_default(tenant: TestTenant, documents: list[Document]) -> None:
    answer = await ask(tenant.viewer, documents[0].id)
    assert list(unzipped(answer.content).contents) == ["report.pdf", "manifest.json"]


@pytest.mark.parametrize(
    ("format_", "program"), [("zip", ["unzip", "-t"]), ("tar", ["tar", "tf"])]
)
async def test_other_programs_read_it(
    tenant: TestTenant, documents: list[Document], tmp_path: Path, format_: str, program: list[str]
) -> None:
    if shutil.which(program[0]) is None:
        pytest.skip(f"there is no {program[0]} on this machine")
    path = tmp_path / "archive"
    answer = await ask(tenant.viewer, *(d.id for d in documents), format=format_)
    path.write_bytes(answer.content)
    command = [*program, str(path)]
    ended = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "photo.jpg" in ended.stdout


async def test_documents_of_one_name(tenant: TestTenant) -> None:
    names = ["a.txt", "A.TXT", "a.txt", "manifest.json"]
    made = [
        await upload(tenant.user, name, name.encode() + bytes([i])) for i, name in enumerate(names)
    ]
    unpacked = await download(tenant.viewer, *(d.id for d in made))
    assert list(unpacked.contents)[:-1] == ["a.txt", "A (2).TXT", "a (3).txt", "manifest (2).json"]
    assert list(unpacked.contents.values())[:-1] == [
        name.encode() + bytes([i]) for i, name in enumerate(names)
    ]
    assert [e.filename for e in unpacked.manifest.documents] == names


@each_format
async def test_members_stand_in_their_folders(tenant: TestTenant, format_: str) -> None:
    places = [("", "a.txt"), ("reports/2026", "a.txt"), ("Reports/2026", "A.txt"), ("", "reports")]
    made = [
        await upload(tenant.user, name, f"{folder}{name}".encode(), folder)
        for folder, name in places
    ]
    unpacked = await download(tenant.viewer, *(d.id for d in made), format_=format_)
    paths = ["a.txt", "reports/2026/a.txt", "Reports/2026/A (2).txt", "reports (2)"]
    assert list(unpacked.contents) == [*paths, "manifest.json"]
    assert [unpacked.contents[path].decode() for path in paths] == ["".join(p) for p in places]
    told = [(e.name, e.folder, e.filename) for e in unpacked.manifest.documents]
    assert told == [(path, *place) for path, place in zip(paths, places, strict=True)]


@each_format
async def test_what_is_not_there_is_told(
    tenant: TestTenant,
    make_tenant: MakeTenant,
    documents: list[Document],
    writer: SqlWriter,
    format_: str,
) -> None:
    """Unknown, deleted, another tenant's: all alike. Bytes that the store lost: by name."""
    other = await make_tenant()
    theirs = await upload(other.user, "theirs.txt", b"secret")
    deleted, kept = documents[:2]
    assert (await tenant.admin.delete(f"/documents/{deleted.id}")).status_code == 200
    unknown, lost = uuid4(), await writer.insert_one()
    unpacked = await download(
        tenant.viewer, unknown, kept.id, deleted.id, lost, theirs.id, format_=format_
    )
    assert list(unpacked.contents) == [kept.filename, "manifest.json"]
    assert unpacked.errors() == {
        unknown: "not_found",
        deleted.id: "not_found",
        lost: "missing",
        theirs.id: "not_found",
    }
    by_id = {entry.id: entry for entry in unpacked.manifest.documents}
    assert (by_id[lost].filename, by_id[lost].name) == ("written by SQL", None)
    for alike in (unknown, deleted.id, theirs.id):
        told = by_id[alike].model_dump(exclude={"id", "error"})
        assert set(told.values()) == {None}


async def test_an_archive_of_nothing(tenant: TestTenant) -> None:
    unknown = uuid4()
    unpacked = await download(tenant.viewer, unknown)
    assert list(unpacked.contents) == ["manifest.json"]
    assert unpacked.errors() == {unknown: "not_found"}


async def _replace(store: ObjectStore, writer: SqlWriter, document: Document, raw: bytes) -> None:
    """Put other bytes where the document's are."""
    query = "SELECT s3_path FROM files WHERE tenant_id = $1 AND id = $2"
    key = await writer.connection.fetchval(query, writer.tenant_id, document.file.id)
    await store._call("put_object", Key=key, Body=raw)


@each_format
async def test_bytes_that_are_not_the_documents_are_told(
    tenant: TestTenant,
    documents: list[Document],
    store: ObjectStore,
    writer: SqlWriter,
    format_: str,
) -> None:
    grown, changed, right = documents[:3]
    await _replace(store, writer, grown, b"other bytes, of another size")
    await _replace(store, writer, changed, bytes(changed.file.file_size))
    unpacked = await download(tenant.viewer, grown.id, changed.id, right.id, format_=format_)
    assert list(unpacked.contents) == [changed.filename, right.filename, "manifest.json"]
    assert unpacked.errors() == {grown.id: "wrong_size", changed.id: "wrong_content"}
    assert unpacked.contents[changed.filename] == bytes(changed.file.file_size)


@each_format
async def test_five_hundred_documents(
    tenant: TestTenant, documents: list[Document], writer: SqlWriter, format_: str
) -> None:
    ids = [uuid4() for _ in range(500)]
    await replace(writer, file_id=documents[0].file.id).insert(*ids)
    unpacked = await download(tenant.viewer, *ids, format_=format_)
    assert len(unpacked.contents) == 501
    assert [entry.id for entry in unpacked.manifest.documents] == ids
    assert {*unpacked.contents.values()} == {
        CONTENTS["report.pdf"],
        unpacked.contents["manifest.json"],
    }
    assert "written by SQL (500)" in unpacked.contents


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({"document_ids": []}, "body.document_ids", "at least 1"),
        ({"document_ids": [str(uuid4()) for _ in range(501)]}, "body.document_ids", "at most 500"),
        ({"document_ids": [str(UUID(int=7))] * 2}, "body.document_ids", str(UUID(int=7))),
        ({"document_ids": ["no-id"]}, "body.document_ids.0", "UUID"),
        ({"document_ids": [str(uuid4())], "format": "rar"}, "body.format", "'zip' or 'tar'"),
        ({"document_ids": [str(uuid4())], "compress": True}, "body.compress", "no such field"),
        ({}, "body.document_ids", "required"),
    ],
)
async def test_what_is_wrong_is_named(
    tenant: TestTenant, body: dict[str, Any], field: str, words: str
) -> None:
    answer = await tenant.viewer.post("/documents/batch-download", json=body)
    problem = problem_of(answer, 400, "invalid_request")
    assert [error.field for error in problem.errors] == [field]
    assert words in problem.errors[0].message


async def test_a_snapshot_in_one_statement(
    tenant: TestTenant, documents: list[Document], database_url: str
) -> None:
    """While the archive is read, no connection of the database waits in its name."""
    ids = [d.id for d in documents]
    body = {"document_ids": [str(i) for i in ids]}
    async with tenant.viewer.stream("POST", "/documents/batch-download", json=body) as answer:
        pieces = answer.aiter_raw(65_536)
        await anext(pieces)
        connection = await asyncpg.connect(database_url)
        open_ = await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND state <> 'idle' AND pid <> pg_backend_pid()"
        )
        await connection.close()
        assert open_ == 0
        assert len([piece async for piece in pieces]) > 10
