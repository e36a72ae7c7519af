"""Every request of the client, against the real service."""

import zipfile
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from uuid import uuid4

import pytest

from fixtures.client_faults import FaultyTransport
from fixtures.client_service import MakeClient
from fixtures.service import TestTenant
from syncapi.client import (
    ApiError,
    Client,
    Conflict,
    Forbidden,
    NotFound,
    PreconditionFailed,
    SourceChanged,
    UnsupportedType,
)
from syncapi.client.api.client import created
from syncapi.client.transfer.contents import BytesContent, digest_of
from syncapi.protocol.documents import DocumentChanges
from syncapi.protocol.files import FileDeclaration
from syncapi.protocol.push import ChangeResult, CreateChange, DeleteChange, UpdateChange


def declaration(data: bytes) -> FileDeclaration:
    digest = digest_of(BytesContent(data))
    return FileDeclaration(
        sha256_hash=digest.sha256_hash,
        md5_hash=digest.md5_hash,
        file_size=digest.file_size,
        mime_type="text/plain",
    )


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def test_pulls_from_the_beginning_and_then_what_is_new(client: Client) -> None:
    first = await client.upload_document(b"one", "one.txt")
    second = await client.upload_document(b"two", "two.txt")
    page = await client.pull(cursor=None, per_page=1)
    assert [document.id for document in page.added] == [first.id]
    assert page.has_more
    page = await client.pull(cursor=page.sync_token)
    assert [document.id for document in page.added] == [second.id]
    assert page.added[0].download_url
    assert not page.has_more

    await client.delete_document(first.id)
    page = await client.pull(cursor=page.sync_token)
    assert [gone.id for gone in page.deleted] == [first.id]


async def test_pulls_without_urls_and_without_deletions(client: Client) -> None:
    document = await client.upload_document(b"one", "one.txt")
    page = await client.pull(cursor=None, include_urls=False, include_deleted=False)
    assert page.added[0].download_url is None
    await client.delete_document(document.id)
    page = await client.pull(cursor=page.sync_token, include_deleted=False)
    assert page.deleted == []


async def test_an_idle_poll_is_answered_without_a_page(
    make_client: MakeClient, tenant: TestTenant
) -> None:
    transport = FaultyTransport()
    client = make_client(tenant, transport=transport)
    await client.upload_document(b"one", "one.txt")
    cursor = (await client.pull(cursor=None)).sync_token

    first = await client.poll(cursor)
    assert first.page is not None
    assert first.page.added == []
    assert first.etag
    second = await client.poll(cursor, first.etag)
    assert (second.page, second.etag) == (None, first.etag)
    assert [seen.status for seen in transport.seen[-2:]] == [200, 304]

    document = await client.upload_document(b"two", "two.txt")
    third = await client.poll(cursor, second.etag)
    assert third.page is not None
    assert [added.id for added in third.page.added] == [document.id]
    assert third.etag is None


async def test_pushes_and_is_told_of_conflicts(client: Client) -> None:
    file = (await client.upload_document(b"one", "one.txt")).file
    create = CreateChange(
        op="create",
        change_id=uuid4(),
        id=uuid4(),
        filename="made.txt",
        mime_type="text/plain",
        file_id=file.id,
    )
    (made,) = (await client.push([create])).results
    assert made.status == "applied"
    assert made.document is not None
    base = made.document.updated_at
    rename = UpdateChange(
        op="update", change_id=uuid4(), id=create.id, base_updated_at=base, filename="other.txt"
    )
    delete = DeleteChange(op="delete", change_id=uuid4(), id=create.id, base_updated_at=base)
    assert [r.status for r in (await client.push([rename])).results] == ["applied"]
    (refused,) = (await client.push([delete])).results
    assert refused.status == "conflict"
    (gone,) = (await client.push([delete], on_conflict="last_write_wins")).results
    assert gone.status == "applied"


async def test_lists_and_reads_documents(client: Client) -> None:
    one = await client.upload_document(b"one", "Report one.txt")
    await client.upload_document(b"two", "two.txt")
    found = await client.documents(filename="report")
    assert [document.id for document in found.documents] == [one.id]
    assert (await client.documents(per_page=1, page=2)).documents == [one]
    later = datetime.now(UTC) + timedelta(days=1)
    assert (await client.documents(modified_after=later)).documents == []
    assert (await client.documents(created_after=later)).documents == []
    assert len((await client.documents(modified_before=later)).documents) == 2
    assert await client.document(one.id) == one
    with pytest.raises(NotFound):
        await client.document(uuid4())


async def test_changes_and_deletes_by_version(client: Client) -> None:
    made = await client.upload_document(b"one", "one.txt")
    renamed = await client.change_document(
        made.id, DocumentChanges(filename="two.txt"), if_match=made.updated_at
    )
    assert (renamed.filename, renamed.mime_type) == ("two.txt", "text/plain")
    with pytest.raises(PreconditionFailed):
        await client.change_document(
            made.id, DocumentChanges(filename="three.txt"), if_match=made.updated_at
        )
    with pytest.raises(PreconditionFailed):
        await client.delete_document(made.id, if_match=made.updated_at)
    assert (await client.delete_document(made.id)).hard_delete is False
    assert (await client.delete_document(made.id, hard=True)).hard_delete is True


@pytest.mark.parametrize(
    "name", ['quo"ted.txt', "naïve файл 文件.txt", "a;b=c.txt", "..hidden", "--a"]
)
async def test_uploads_by_form_under_any_name(client: Client, name: str) -> None:
    document = await client.upload_document(b"\r\n--bytes\r\n", name)
    assert document.filename == name
    assert document.file.file_size == 11


async def test_uploads_a_file_with_the_type_of_its_name(client: Client, tmp_path: Path) -> None:
    source = tmp_path / "source.bin"
    source.write_bytes(b"x" * 3_000_000)
    document = await client.upload_document(source, "report.pdf")
    assert (document.mime_type, document.file.file_size) == ("application/pdf", 3_000_000)
    assert digest_of(BytesContent(source.read_bytes())).sha256_hash == document.file.sha256_hash
    typed = await client.upload_document(source, "report.pdf", "application/x-own")
    assert typed.mime_type == "application/x-own"
    empty = await client.upload_document(b"", "empty")
    assert (empty.mime_type, empty.file.file_size) == ("application/octet-stream", 0)


async def test_a_form_upload_of_a_file_that_shrinks_is_stopped(client: Client) -> None:
    class Shrinking:
        size = 100

        def open(self) -> BytesIO:
            return BytesIO(b"shorter")

    with pytest.raises(SourceChanged):
        await client.upload_document(Shrinking(), "a.txt")
    assert (await client.documents()).documents == []


async def test_one_key_makes_one_document(client: Client) -> None:
    key = uuid4().hex
    first = await client.upload_document(b"one", "one.txt", idempotency_key=key)
    second = await client.upload_document(b"one", "one.txt", idempotency_key=key)
    assert second == first
    third = await client.upload_document(b"one", "one.txt")
    assert third.id != first.id


async def test_gives_all_versions_and_brings_one_back(client: Client) -> None:
    document = await client.upload_document(b"one", "name 0.txt")
    for number in range(1, 4):
        changes = DocumentChanges(filename=f"name {number}.txt")
        await client.change_document(document.id, changes)
    page = await client.history(document.id, per_page=3)
    assert page.next_before is not None
    rest = await client.history(document.id, page.next_before)
    assert [version.filename for version in rest.versions] == ["name 0.txt"]
    every = [version async for version in client.versions(document.id)]
    assert every == [*page.versions, *rest.versions]

    back = await client.restore(document.id, every[-1].updated_at)
    assert back.filename == "name 0.txt"
    with pytest.raises(PreconditionFailed):
        await client.restore(document.id, every[-2].updated_at, if_match=document.updated_at)
    await client.delete_document(document.id)
    assert (await client.restore(document.id)).filename == "name 0.txt"


async def test_all_versions_come_page_by_page(client: Client) -> None:
    document = await client.upload_document(b"one", "0")
    for number in range(1, 103):
        await client.change_document(document.id, DocumentChanges(filename=str(number)))
    names = [version.filename async for version in client.versions(document.id)]
    assert names == [str(number) for number in reversed(range(103))]


async def test_declares_follows_and_completes(client: Client) -> None:
    data = uuid4().bytes
    state = await client.declare(declaration(data))
    assert state.upload is not None
    (part,) = state.upload.parts
    assert await client.file(state.id, after=1, per_page=1) != state
    answer = await client.storage.put(part.url, content=data, headers=state.upload.headers)
    assert answer.status_code == 200
    done = await client.complete(state.id)
    assert done.status == "complete"
    assert await client.declare(declaration(data)) == done


async def test_reads_an_archive(client: Client) -> None:
    documents = [await client.upload_document(b"text %d" % n, f"{n}.txt") for n in range(3)]
    async with client.archive([document.id for document in documents]) as pieces:
        data = b"".join([piece async for piece in pieces])
    with zipfile.ZipFile(BytesIO(data)) as archive:
        assert archive.namelist() == ["0.txt", "1.txt", "2.txt", "manifest.json"]
        assert archive.read("1.txt") == b"text 1"
    async with client.archive([documents[0].id], "tar") as pieces:
        assert b"0.txt" in b"".join([piece async for piece in pieces])


async def test_says_whether_the_service_is_ready(
    make_client: MakeClient, tenant: TestTenant
) -> None:
    transport = FaultyTransport()
    client = make_client(tenant, token="of-nobody", transport=transport)
    assert (await client.ready()).checks["database"] == "up"
    assert "Authorization" not in transport.seen[0].headers


async def test_files_go_straight_to_the_store_and_back(client: Client, tmp_path: Path) -> None:
    source, target = tmp_path / "report.pdf", tmp_path / "copy.pdf"
    source.write_bytes(uuid4().bytes * 50_000)
    document = await client.upload(source)
    assert (document.filename, document.mime_type) == ("report.pdf", "application/pdf")
    target.write_bytes(b"old")
    assert await client.download(document.id, target) == document
    assert target.read_bytes() == source.read_bytes()
    assert names_in(tmp_path) == {"report.pdf", "copy.pdf"}

    other = await client.upload(b"bytes", "a.txt", "text/x-own")
    assert (other.filename, other.mime_type) == ("a.txt", "text/x-own")
    with pytest.raises(ValueError, match="name the document"):
        await client.upload(b"bytes")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("not_found", NotFound),
        ("forbidden", Forbidden),
        ("unsupported_type", UnsupportedType),
        ("invalid_file", Conflict),
    ],
)
def test_what_a_push_rejects_an_upload_raises(code: str, kind: type[ApiError]) -> None:
    rejected = ChangeResult.model_validate(
        {
            "change_id": uuid4(),
            "id": uuid4(),
            "status": "rejected",
            "document": None,
            "conflict": None,
            "problem": {"code": code, "detail": "The file is gone."},
        }
    )
    with pytest.raises(kind, match="The file is gone") as raised:
        created(rejected)
    assert raised.value.code == code


async def test_names_the_program_to_the_server(
    make_client: MakeClient, tenant: TestTenant
) -> None:
    transport = FaultyTransport()
    client = make_client(tenant, transport=transport, user_agent="backup/3")
    await client.pull(cursor=None)
    assert transport.seen[0].headers["User-Agent"].startswith("backup/3 syncapi-client/")


@pytest.mark.parametrize("address", ["sync.example.com", "ftp://sync.example.com", ""])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="write the address as"):
        Client(address, uuid4(), "token")


def test_addresses_may_have_a_path() -> None:
    client = Client("https://example.com/sync/?a=b", uuid4(), "token")
    assert client.base_url == "https://example.com/sync"


async def test_documents_stand_in_folders(client: Client) -> None:
    by_form = await client.upload_document(b"one", "one.txt", folder="reports/2026")
    straight = await client.upload(b"two", "two.txt", folder="reports/naïve")
    assert (by_form.folder, straight.folder) == ("reports/2026", "reports/naïve")
    found = await client.documents(folder="reports/2026")
    assert [document.id for document in found.documents] == [by_form.id]
    assert (await client.documents(folder="")).documents == []

    moved = await client.change_document(by_form.id, DocumentChanges(folder=""))
    assert (moved.folder, moved.filename) == ("", "one.txt")
    assert (await client.documents(folder="")).documents == [moved]
    update = UpdateChange(
        op="update",
        change_id=uuid4(),
        id=straight.id,
        base_updated_at=straight.updated_at,
        folder="",
    )
    (result,) = (await client.push([update])).results
    assert result.document is not None
    assert result.document.folder == ""
    assert [v.folder async for v in client.versions(straight.id)] == ["", "reports/naïve"]
