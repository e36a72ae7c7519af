"""Whatever a writer past the API stores, no row stops a feed, or anything else that reads it."""

import io
import json
import tarfile
from contextlib import nullcontext
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from fixtures.pulling import BEGINNING, Replica, ask, deleted, page_of
from fixtures.pushing import create, push, update
from fixtures.sending import complete, content_of, declare, pending, send, state_of
from fixtures.service import TestTenant
from fixtures.strange import before_the_rules
from fixtures.unseen import unseen
from fixtures.uploads import upload
from fixtures.writing import MakeWriter, SqlWriter

EARLIEST, LATEST = "0001-01-01 00:00:00+00", "9999-12-31 23:59:59.999999+00"

DOCUMENTS = {
    "a name of control characters": "filename = E'\\x01\\x1f\\x7f\\t\\n\\r'",
    "a name that is a path": "filename = '../../etc/passwd'",
    "an empty name": "filename = ''",
    "a name of odd characters": "filename = U&'\\FFFE\\FFFF\\202E\\2028\\+01F600\\0301'",
    "a name of quotes": "filename = E'\"\\\\\"; x=y'",
    "a long name": "filename = repeat('\U0001f600', 255)",
    "an empty type": "mime_type = ''",
    "a type of lines": "mime_type = E'text/plain\\r\\nX-Evil: 1'",
    "a type of odd characters": "mime_type = 'Ünïcödé; charset=\U0001f600'",
    "a folder of slashes": "folder = '////'",
    "a folder that leads out": "folder = '../..'",
    "a folder of control characters": "folder = E'a/\\x01/\\n'",
    "a deep folder": "folder = repeat('x/', 500)",
    "an early time": f"created_at = '{EARLIEST}'",
    "an early time with microseconds": "created_at = '0001-01-01 00:00:00.000001+00'",
    "a late time": f"created_at = '{LATEST}'",
    "a time of deletion, undeleted": f"deleted_at = '{LATEST}'",
    "times that no answer has": "updated_at = 'infinity'",
}
FILES = {
    "a huge size": "file_size = 9223372036854775807",
    "hashes of spaces": "md5_hash = '', sha256_hash = ''",
    "hashes of wrong letters": "md5_hash = 'Ünïcödé \U0001f600', sha256_hash = repeat('Z', 64)",
    "a path of slashes and dots": "s3_path = '/.../.a/a./'",
    "a path of odd characters": "s3_path = E'/ \\n?#%\"Ü\U0001f600'",
    "null in the metadata": "file_metadata = 'null'",
    "a number in the metadata": "file_metadata = repeat('9', 5000)::jsonb",
    "depth in the metadata": "file_metadata = (repeat('[', 3000) || repeat(']', 3000))::jsonb",
    "an early time of the file": "created_at = '4000-01-01 BC', updated_at = '-infinity'",
    "a late time of the file": "created_at = 'infinity', updated_at = '20000-01-01'",
}


@pytest.fixture
async def writer(tenant: TestTenant, make_writer: MakeWriter) -> SqlWriter:
    return await make_writer(tenant.id)


async def changed(writer: SqlWriter, table: str, what: str, row: UUID) -> None:
    statement = f"UPDATE {table} SET {what} WHERE tenant_id = $1 AND id = $2"
    async with before_the_rules(writer.connection) if "hash" in what else nullcontext():
        await writer.connection.execute(statement, writer.tenant_id, row)


@pytest.mark.parametrize(
    ("table", "what"),
    [
        *(pytest.param("documents", what, id=name) for name, what in DOCUMENTS.items()),
        *(pytest.param("files", what, id=name) for name, what in FILES.items()),
    ],
)
async def test_it_is_read_like_any_other(
    tenant: TestTenant, writer: SqlWriter, table: str, what: str
) -> None:
    replica = Replica(tenant.viewer)
    odd, plain = await upload(tenant.user), await upload(tenant.user, b"other", "plain.txt")
    document, file = UUID(odd["id"]), UUID(odd["file"]["id"])
    await replica.pull_run()
    await changed(writer, table, what, document if table == "documents" else file)
    for reader in (replica, Replica(tenant.viewer)):
        await reader.pull_run()
        assert reader.documents == await writer.live()
    await reads(tenant, document, UUID(plain["id"]))
    await writes(tenant, document, file)
    await writer.delete(document)
    await replica.pull_run()
    assert replica.documents == await writer.live()


async def reads(tenant: TestTenant, document: UUID, plain: UUID) -> None:
    """Every way to read it, alone and among others."""
    listed = data(await tenant.viewer.get("/documents"))["documents"]
    assert {one["id"] for one in listed} == {str(document), str(plain)}
    alone = data(await tenant.viewer.get(f"/documents/{document}"))["document"]
    assert alone in listed
    pulled = page_of(await ask(tenant.viewer, since=BEGINNING)).model_dump(mode="json")["added"]
    (same,) = [one for one in pulled if one["id"] == str(document)]
    assert {name: same[name] for name in alone if not name.startswith("deleted")} == {
        name: value for name, value in alone.items() if not name.startswith("deleted")
    }
    data(await tenant.viewer.get(f"/documents/{document}/history"))
    data(await tenant.viewer.get(f"/documents/{document}/download-url"))
    wanted = {"document_ids": [str(document), str(plain)], "format": "tar"}
    archive = await tenant.viewer.post("/documents/batch-download", json=wanted)
    assert archive.status_code == 200, archive.text
    with tarfile.open(fileobj=io.BytesIO(archive.content)) as members:
        manifest: Any = members.extractfile("manifest.json")
        entries = json.load(manifest)["documents"]
    assert [entry["id"] for entry in entries] == wanted["document_ids"]
    assert entries[1]["error"] is None


async def writes(tenant: TestTenant, document: UUID, file: UUID) -> None:
    """Every way to be told of it by a write."""
    late = update(document, "2001-01-01T00:00:00Z", filename="mine.txt")
    fresh = create(file, filename="fresh.txt")
    (again,) = await push(tenant.user, create(file, document=document))
    results = await push(tenant.user, late, fresh)
    assert [result.status for result in (again, *results)] == ["conflict", "conflict", "applied"]
    assert results[0].conflict is not None
    assert results[0].conflict.server is not None
    renamed = await tenant.user.patch(f"/documents/{document}", json={"filename": "named.txt"})
    assert data(renamed)["document"]["filename"] == "named.txt"
    data(await tenant.admin.delete(f"/documents/{fresh['id']}"))
    data(await tenant.user.post(f"/documents/{document}/restore", json={}))


def data(answer: httpx.Response) -> Any:  # noqa: ANN401 - of every shape
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


@pytest.mark.parametrize("column", ["created_at", "deleted_at"])
@pytest.mark.parametrize(
    "time", ["infinity", "-infinity", "0001-12-31 BC", "10000-01-01 00:00:00+00", "294276-01-01"]
)
@pytest.mark.parametrize("role", ["origin", "replica"])
async def test_a_time_that_no_answer_can_carry_is_refused_at_the_write(
    writer: SqlWriter, column: str, time: str, role: str
) -> None:
    document = await writer.insert_one()
    await writer.connection.execute(f"SET session_replication_role = {role}")
    with pytest.raises(asyncpg.CheckViolationError, match="times_in_years_1_to_9999"):
        await changed(writer, "documents", f"{column} = '{time}'", document)


@pytest.mark.parametrize("path", ["", ".", "a/./b", "../another/bucket", "a/.."])
async def test_a_file_that_no_request_can_name_is_refused_at_the_write(
    writer: SqlWriter, path: str
) -> None:
    """A signed URL of no key would list the bucket."""
    with pytest.raises(asyncpg.CheckViolationError, match="files_s3_path_check"):
        await changed(writer, "files", f"s3_path = '{path}'", writer.file_id)


@pytest.mark.parametrize("column", ["md5_hash", "sha256_hash"])
@pytest.mark.parametrize("value", ["upper({})", "''", "left({}, -1)", "repeat('/', length({}))"])
async def test_hashes_that_are_none_are_refused_at_the_write(
    writer: SqlWriter, column: str, value: str
) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match=f"files_{column}_check"):
        await writer.connection.execute(
            f"UPDATE files SET {column} = {value.format(column)} WHERE id = $1", writer.file_id
        )


MD5S = [
    "'X'",
    "upper(md5_hash)",
    "encode(decode(md5_hash, 'hex'), 'base64')",
    "repeat('0', 32)",
]


@pytest.mark.parametrize("md5", MD5S)
@pytest.mark.parametrize("way", ["by a form", "straight to S3"])
async def test_a_file_of_another_md5_is_told_and_mended_by_its_bytes(
    tenant: TestTenant, writer: SqlWriter, md5: str, way: str
) -> None:
    odd = await upload(tenant.user, b"odd", "odd.txt")
    replica = Replica(tenant.viewer)
    await replica.pull_run()
    path = f"/files/{odd['file']['id']}"
    await changed(writer, "files", f"md5_hash = {md5}", UUID(odd["file"]["id"]))
    told = data(await tenant.user.get(path))
    assert (told["status"], told["file"]["id"]) == ("complete", odd["file"]["id"])
    assert told["file"]["md5_hash"] != odd["file"]["md5_hash"]
    if way == "by a form":
        assert (await upload(tenant.user, b"odd", "again.txt"))["file"] == odd["file"]
    else:
        state = await declare(tenant.user, content_of(b"odd"))
        await send(pending(state), pending(state).parts, lambda at, size: b"odd"[at : at + size])
        done = state_of(await complete(tenant.user, state.id))
        assert done.file is not None
        assert done.file.model_dump(mode="json") == odd["file"]
    assert data(await tenant.user.get(path))["file"] == odd["file"]
    await replica.pull_run()
    assert replica.documents == await writer.live()
    assert (await declare(tenant.user, content_of(b"odd"))).status == "complete"


async def test_nothing_is_promised_of_a_file_that_cannot_be_renewed(
    tenant: TestTenant, writer: SqlWriter
) -> None:
    """An answer that it is there would keep it for no day."""
    odd = await upload(tenant.user, b"odd")
    await changed(writer, "files", "md5_hash = 'X'", UUID(odd["file"]["id"]))
    assert (await declare(tenant.user, content_of(b"odd"))).status == "pending"


class TestWhatTheFeedDoesNotKnow:
    """Written while triggers were off, and not reconciled yet."""

    async def test_no_page_brings_what_is_deleted(
        self, tenant: TestTenant, writer: SqlWriter
    ) -> None:
        soft, hard, kept = await writer.insert_one(), await writer.insert_one(), uuid4()
        replica = Replica(tenant.viewer)
        await replica.pull_page(per_page=1)
        async with unseen(writer.connection):
            await writer.delete(soft)
            await writer.erase(hard)
        await writer.insert(kept)
        await replica.pull_run()
        await replica.pull_run()
        assert set(replica.documents) - {soft} == {kept}
        fresh = Replica(tenant.viewer)
        await fresh.pull_run()
        assert set(fresh.documents) == {kept}

    async def test_a_page_with_deletions_tells_them(
        self, tenant: TestTenant, writer: SqlWriter
    ) -> None:
        replica = Replica(tenant.viewer)
        await writer.insert_one()
        await replica.pull_run()
        soft, hard, back = [await writer.insert_one() for _ in range(3)]
        await writer.delete(back)
        async with unseen(writer.connection):
            await writer.delete(soft)
            await writer.erase(hard)
            await writer.undelete(back)
        (page,) = await replica.pull_run()
        assert deleted(page) == {soft, hard}
        assert back in replica.documents

    async def test_a_document_without_an_entry_is_read_and_changed(
        self, tenant: TestTenant, writer: SqlWriter
    ) -> None:
        async with unseen(writer.connection):
            await writer.insert(document := uuid4())
        path = f"/documents/{document}"
        found = data(await tenant.viewer.get(path))["document"]
        assert found["updated_at"] == "1970-01-01T00:00:00.000000Z"
        listed = data(await tenant.viewer.get("/documents"))
        assert listed["documents"] == [found]
        assert listed["pagination"]["total"] == 1
        conflict, change = await push(
            tenant.user,
            create(writer.file_id, document=document),
            create(writer.file_id),
        )
        assert (conflict.status, change.status) == ("conflict", "applied")
        assert conflict.conflict is not None
        assert conflict.conflict.server is not None
        assert conflict.conflict.server.model_dump(mode="json") == found
        (applied,) = await push(
            tenant.user, update(document, found["updated_at"], filename="known.txt")
        )
        assert applied.status == "applied"
        replica = Replica(tenant.viewer)
        await replica.pull_run()
        assert replica.documents == await writer.live()
        assert len(replica.documents) == 2

    async def test_it_is_renamed_and_deleted_by_its_id(
        self, tenant: TestTenant, writer: SqlWriter
    ) -> None:
        async with unseen(writer.connection):
            await writer.insert(document := uuid4(), erased := uuid4())
        path = f"/documents/{document}"
        match = {"If-Match": (await tenant.viewer.get(path)).headers["ETag"]}
        data(await tenant.user.patch(path, json={"filename": "b.txt"}, headers=match))
        replica = Replica(tenant.viewer)
        await replica.pull_run()
        assert set(replica.documents) == {document}
        data(await tenant.admin.delete(f"/documents/{erased}", params={"hard": True}))
        data(await tenant.admin.delete(path))
        (page,) = await replica.pull_run()
        assert deleted(page) == {document, erased}

    async def test_the_deletion_of_what_is_gone_may_be_repeated(
        self, tenant: TestTenant, writer: SqlWriter
    ) -> None:
        document = await writer.insert_one()
        async with unseen(writer.connection):
            await writer.erase(document)
        data(await tenant.admin.delete(f"/documents/{document}"))
