"""Uploads over a real socket, as programs send them."""

import asyncio
import hashlib
from uuid import uuid4

import httpx
import pytest

from fixtures.collecting import two_days_pass
from fixtures.service import MakeTenant, TestTenant
from fixtures.uploads import Json, assert_problem, document_of, upload
from syncapi.server.domain.access import Role
from syncapi.server.postgres.databases import Databases
from syncapi.server.storage.s3 import ObjectStore


async def keys_of(store: ObjectStore, tenant: TestTenant) -> list[str]:
    """What the tenant has in the bucket."""
    answer = await store._call("list_objects_v2", Prefix=f"{tenant.id}/")
    return [entry["Key"] for entry in answer.get("Contents", [])]


async def download(client: httpx.AsyncClient, document: Json) -> bytes:
    answer = await client.get(f"/documents/{document['id']}/download-url")
    async with httpx.AsyncClient() as s3:
        return (await s3.get(answer.json()["data"]["download_url"])).content


async def test_an_upload_becomes_a_document(tenant: TestTenant, store: ObjectStore) -> None:
    content = b"some bytes"
    answer = await tenant.user.post("/documents", files={"file": ("Bericht ü.pdf", content)})
    assert answer.status_code == 201
    document = document_of(answer)
    user = str(tenant.members[Role.USER])
    assert document["filename"] == "Bericht ü.pdf"
    assert document["mime_type"] == "application/pdf"
    assert (document["user_id"], document["created_by"]) == (user, user)
    assert document["is_deleted"] is False
    assert document["file"]["md5_hash"] == hashlib.md5(content).hexdigest()
    assert document["file"]["sha256_hash"] == hashlib.sha256(content).hexdigest()
    assert document["file"]["file_size"] == len(content)
    assert answer.headers["Location"].endswith(f"/{tenant.id}/documents/{document['id']}")
    again = await tenant.viewer.get(f"/documents/{document['id']}")
    assert document_of(again) == document
    assert again.headers["ETag"] == answer.headers["ETag"]
    assert await download(tenant.viewer, document) == content
    [key] = await keys_of(store, tenant)
    assert key.startswith(f"{tenant.id}/")


async def test_the_upload_is_the_next_pull(tenant: TestTenant) -> None:
    document = await upload(tenant.user)
    page = await tenant.viewer.get("/documents/sync", params={"since": "1970-01-01T00:00:00Z"})
    [added] = page.json()["data"]["added"]
    url = added.pop("download_url")
    assert added == document
    async with httpx.AsyncClient() as s3:
        assert (await s3.get(url)).content == b"content"


@pytest.mark.parametrize(
    ("fields", "name", "media_type", "kept"),
    [
        ({}, "a.png", None, ("a.png", "image/png")),
        ({}, "a.PNG", "text/x-own", ("a.PNG", "text/x-own")),
        ({"mime_type": "text/x-field"}, "a.png", "image/png", ("a.png", "text/x-field")),
        ({"filename": "b.bin"}, "a.png", "image/png", ("b.bin", "image/png")),
        ({"filename": "b.docx"}, "a", "text/plain; charset=latin-1", ("b.docx", "text/plain")),
        ({}, "C:\\files\\a.txt", None, ("a.txt", "text/plain")),
        ({}, "../../etc/passwd", None, ("passwd", "application/octet-stream")),
        ({"filename": "", "mime_type": ""}, "a.txt", None, ("a.txt", "text/plain")),
    ],
    ids=str,
)
async def test_fields_come_before_the_part_and_the_part_before_the_extension(
    tenant: TestTenant,
    fields: dict[str, str],
    name: str,
    media_type: str | None,
    kept: tuple[str, str],
) -> None:
    document = await upload(tenant.user, filename=name, media_type=media_type, fields=fields)
    assert (document["filename"], document["mime_type"]) == kept


@pytest.mark.parametrize(
    "name",
    [
        "😀 résumé.txt",
        "e\u0301 as two",
        "é as one",
        "לקוח",
        ".hidden",
        "a" * 255,
        "%41 & 50%",
        "…",
    ],
)
async def test_names_are_kept_as_they_came(tenant: TestTenant, name: str) -> None:
    document = await upload(tenant.user, fields={"filename": name})
    assert document["filename"] == name


@pytest.mark.parametrize(("sent", "kept"), [("Verträge/2026", "Verträge/2026"), ("", "")])
async def test_an_upload_stands_in_its_folder(tenant: TestTenant, sent: str, kept: str) -> None:
    document = await upload(tenant.user, filename="reports/a.txt", fields={"folder": sent})
    assert (document["folder"], document["filename"]) == (kept, "a.txt")
    assert document_of(await tenant.viewer.get(f"/documents/{document['id']}")) == document
    page = await tenant.viewer.get("/documents/sync", params={"since": "1970-01-01T00:00:00Z"})
    assert page.json()["data"]["added"][0]["folder"] == kept


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"filename": "a/b"}, "body.filename"),
        ({"filename": "a\\b"}, "body.filename"),
        ({"filename": ".."}, "body.filename"),
        ({"filename": "a\nb"}, "body.filename"),
        ({"filename": "a\x00b"}, "body.filename"),
        ({"filename": "a" * 256}, "body.filename"),
        ({"folder": "/a"}, "body.folder"),
        ({"folder": "a/../b"}, "body.folder"),
        ({"mime_type": "text"}, "body.mime_type"),
        ({"mime_type": "text/plain; charset=utf-8"}, "body.mime_type"),
        ({"mime_type": "a/" + "b" * 99}, "body.mime_type"),
        ({"mimetype": "text/plain"}, "body.mimetype"),
    ],
    ids=str,
)
@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
async def test_what_cannot_be_kept_is_refused_and_leaves_nothing(
    tenant: TestTenant, store: ObjectStore, fields: dict[str, str], field: str, is_after: bool
) -> None:
    texts = [(name, (None, text)) for name, text in fields.items()]
    file = ("file", ("a.txt", b"content"))
    answer = await tenant.user.post(
        "/documents", files=[file, *texts] if is_after else [*texts, file]
    )
    assert_problem(answer, 400, "invalid_request", field)
    assert await keys_of(store, tenant) == []
    assert await count(tenant) == 0


async def count(tenant: TestTenant) -> int:
    answer = await tenant.viewer.get("/documents")
    total: int = answer.json()["data"]["pagination"]["total"]
    return total


async def test_a_part_without_a_name_needs_the_field(tenant: TestTenant) -> None:
    nameless = {"file": (None, b"content")}
    refused = await tenant.user.post("/documents", files=nameless)
    assert_problem(refused, 400, "invalid_request", "body.filename", word="required")
    named = await tenant.user.post("/documents", files=nameless, data={"filename": "a.txt"})
    assert document_of(named)["filename"] == "a.txt"


async def test_no_file_two_files_and_no_form_are_refused(
    tenant: TestTenant, store: ObjectStore
) -> None:
    client = tenant.user
    none = await client.post("/documents", files={"filename": (None, "a")})
    assert_problem(none, 400, "invalid_request", "body.file", word="required")
    two = await client.post("/documents", files=[("file", ("a", b"1")), ("file", ("b", b"2"))])
    assert_problem(two, 400, "invalid_request", "body.file", word="twice")
    json = await client.post("/documents", json={"file": "x"})
    assert_problem(json, 415, "unsupported_type", word="multipart/form-data")
    cut = await client.post(
        "/documents",
        content=b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nhalf',
        headers={"Content-Type": "multipart/form-data; boundary=b"},
    )
    assert_problem(cut, 400, "invalid_request", "body", word="last boundary")
    assert await keys_of(store, tenant) == []


async def test_a_viewer_and_a_stranger_cannot_upload(
    tenant: TestTenant, make_tenant: MakeTenant, store: ObjectStore
) -> None:
    file = {"file": ("a", b"1")}
    assert_problem(await tenant.viewer.post("/documents", files=file), 403, "forbidden")
    stranger = (await make_tenant()).admin
    url = str(tenant.admin.base_url.join("documents"))
    assert_problem(await stranger.post(url, files=file), 404, "not_found")
    assert await keys_of(store, tenant) == []


async def test_the_same_bytes_are_kept_once(tenant: TestTenant, store: ObjectStore) -> None:
    first = await upload(tenant.user, b"same", "a.txt")
    second = await upload(tenant.admin, b"same", "b.txt")
    assert first["id"] != second["id"]
    assert first["file"] == second["file"]
    assert len(await keys_of(store, tenant)) == 1


async def test_the_same_bytes_at_once_make_one_file(
    tenant: TestTenant, store: ObjectStore, databases: Databases
) -> None:
    content = uuid4().bytes * 1000
    documents = await asyncio.gather(
        *(upload(tenant.user, content, f"{number}.bin") for number in range(12))
    )
    assert len({document["id"] for document in documents}) == 12
    assert len({document["file"]["id"] for document in documents}) == 1
    [key] = await keys_of(store, tenant)
    async with databases.reading(tenant.scope()) as connection:
        paths = await connection.driver.fetch(
            "SELECT s3_path FROM files WHERE tenant_id = $1", tenant.id
        )
    assert [row["s3_path"] for row in paths] == [key]
    assert await download(tenant.viewer, documents[0]) == content


async def test_tenants_share_no_bytes(
    make_tenant: MakeTenant, store: ObjectStore, databases: Databases
) -> None:
    one, other = await make_tenant(), await make_tenant()
    first, second = await upload(one.user, b"same"), await upload(other.user, b"same")
    assert first["file"]["id"] != second["file"]["id"]
    for tenant in (one, other):
        assert len(await keys_of(store, tenant)) == 1
    await two_days_pass(databases, one)
    erased = await one.admin.delete(f"/documents/{first['id']}", params={"hard": True})
    assert erased.status_code == 200
    assert await keys_of(store, one) == []
    assert await download(other.viewer, second) == b"same"


async def test_an_empty_file_is_a_file(tenant: TestTenant) -> None:
    document = await upload(tenant.user, b"")
    assert document["file"]["file_size"] == 0
    assert await download(tenant.viewer, document) == b""
