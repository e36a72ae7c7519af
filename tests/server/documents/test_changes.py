"""Reading, renaming, retyping and giving new content, and the conditions on it."""

import asyncio
from functools import partial
from uuid import UUID, uuid4

import pytest

from fixtures.pausing import Pausing, is_waiting
from fixtures.service import MakeTenant, TestTenant
from fixtures.until import until
from fixtures.uploads import Json, assert_problem, document_of, upload
from syncapi.server.postgres import documents
from syncapi.server.postgres.databases import Databases


def path(document: Json) -> str:
    return f"/documents/{document['id']}"


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
async def test_a_change_makes_a_new_version(tenant: TestTenant, method: str) -> None:
    old = await upload(tenant.user, b"old", "old.txt")
    other = await upload(tenant.user, b"new", "other.txt")
    changes = {
        "filename": "neu ü.md",
        "mime_type": "text/markdown",
        "file_id": other["file"]["id"],
    }
    answer = await tenant.user.request(method, path(old), json=changes)
    new = document_of(answer)
    assert new["updated_at"] > old["updated_at"]
    assert new == {
        **old,
        "filename": "neu ü.md",
        "mime_type": "text/markdown",
        "file": other["file"],
        "updated_at": new["updated_at"],
    }
    read = await tenant.viewer.get(path(old))
    assert document_of(read) == new
    assert read.headers["ETag"] == answer.headers["ETag"]
    page = await tenant.viewer.get("/documents/sync", params={"since": other["updated_at"]})
    data = page.json()["data"]
    assert [row["filename"] for row in data["added"] + data["modified"]] == ["neu ü.md"]


async def test_a_document_moves_to_another_folder_and_back(tenant: TestTenant) -> None:
    old = await upload(tenant.user)
    moved = document_of(await tenant.user.patch(path(old), json={"folder": "a/b"}))
    assert moved == {**old, "folder": "a/b", "updated_at": moved["updated_at"]}
    same = document_of(await tenant.user.patch(path(old), json={"folder": "a/b"}))
    assert same == moved
    back = document_of(await tenant.user.patch(path(old), json={"folder": ""}))
    assert back == {**old, "updated_at": back["updated_at"]}


async def test_a_bad_folder_is_named(tenant: TestTenant) -> None:
    document = await upload(tenant.user)
    answer = await tenant.user.patch(path(document), json={"folder": "a//b"})
    assert_problem(answer, 400, "invalid_request", "body.folder", word="two of them in a row")


async def test_what_is_left_out_or_null_stays(tenant: TestTenant) -> None:
    old = await upload(tenant.user)
    new = document_of(
        await tenant.user.patch(path(old), json={"filename": "b.txt", "mime_type": None})
    )
    assert new == {**old, "filename": "b.txt", "updated_at": new["updated_at"]}


@pytest.mark.parametrize("changes", [{}, {"filename": "a.txt"}, {"filename": None}], ids=str)
async def test_a_change_that_changes_nothing_makes_no_version(
    tenant: TestTenant, changes: Json
) -> None:
    old = await upload(tenant.user, filename="a.txt")
    assert document_of(await tenant.user.patch(path(old), json=changes)) == old


async def test_a_stale_version_is_refused(tenant: TestTenant) -> None:
    document = await upload(tenant.user)
    first = (await tenant.user.get(path(document))).headers["ETag"]
    renamed = await tenant.user.patch(
        path(document), json={"filename": "b"}, headers={"If-Match": first}
    )
    assert renamed.status_code == 200
    for method, json in (("PATCH", {"filename": "c"}), ("PUT", {"filename": "c"})):
        refused = await tenant.user.request(
            method, path(document), json=json, headers={"If-Match": first}
        )
        assert_problem(refused, 412, "precondition_failed")
    for match in (renamed.headers["ETag"], f'"x", {renamed.headers["ETag"]}', "*"):
        taken = await tenant.user.patch(
            path(document), json={"filename": "c"}, headers={"If-Match": match}
        )
        assert taken.status_code == 200, taken.text


async def test_a_retry_under_the_old_version_is_answered_like_the_first(
    tenant: TestTenant,
) -> None:
    document = await upload(tenant.user)
    match = {"If-Match": (await tenant.user.get(path(document))).headers["ETag"]}
    answers = [
        await tenant.user.patch(path(document), json={"filename": "b"}, headers=match)
        for _ in range(2)
    ]
    assert document_of(answers[0]) == document_of(answers[1])


async def test_of_many_who_change_one_version_one_wins(tenant: TestTenant) -> None:
    document = await upload(tenant.user)
    match = {"If-Match": (await tenant.user.get(path(document))).headers["ETag"]}
    answers = await asyncio.gather(
        *(
            tenant.user.patch(path(document), json={"filename": f"{n}.txt"}, headers=match)
            for n in range(12)
        )
    )
    [winner] = [answer for answer in answers if answer.status_code == 200]
    assert {answer.status_code for answer in answers} == {200, 412}
    assert document_of(await tenant.viewer.get(path(document))) == document_of(winner)


async def test_who_waited_for_a_change_is_held_against_the_version_it_made(
    tenant: TestTenant, databases: Databases
) -> None:
    """Not against the one that was current when it began to wait."""
    document = await upload(tenant.user)
    match = {"If-Match": (await tenant.user.get(path(document))).headers["ETag"]}
    renaming = partial(
        documents.change, document_id=UUID(document["id"]), values={"filename": "first"}
    )
    first = await Pausing(databases, tenant, renaming).reach()
    second = asyncio.create_task(
        tenant.user.patch(path(document), json={"filename": "second"}, headers=match)
    )
    await until(lambda: is_waiting(databases, tenant))
    await first.end(commits=True)
    assert_problem(await second, 412, "precondition_failed")
    assert document_of(await tenant.viewer.get(path(document)))["filename"] == "first"


@pytest.mark.parametrize("match", ["abc", '"abc', 'W/abc"', '"a" "b"', ""])
async def test_a_malformed_condition_is_refused(tenant: TestTenant, match: str) -> None:
    document = await upload(tenant.user)
    answer = await tenant.user.patch(
        path(document), json={"filename": "b"}, headers={"If-Match": match}
    )
    assert_problem(answer, 400, "invalid_request", "header.If-Match", word="ETag")


async def test_a_known_version_is_not_sent_again(tenant: TestTenant) -> None:
    document = await upload(tenant.user)
    tag = (await tenant.viewer.get(path(document))).headers["ETag"]
    assert tag.startswith('W/"')
    for known in (tag, tag.removeprefix("W/"), f'"x" , {tag}', "*"):
        answer = await tenant.viewer.get(path(document), headers={"If-None-Match": known})
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["ETag"] == tag
    assert (
        await tenant.viewer.get(path(document), headers={"If-None-Match": '"1"'})
    ).status_code == 200


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"filename": ""}, "body.filename"),
        ({"filename": "a/b"}, "body.filename"),
        ({"filename": "a\u0000"}, "body.filename"),
        ({"filename": "a" * 256}, "body.filename"),
        ({"filename": 7}, "body.filename"),
        ({"mime_type": "text"}, "body.mime_type"),
        ({"file_id": "x"}, "body.file_id"),
        ({"file_id": "6f1c1a52-8d6b-4c1e-9a53-2f6b7d0c9e11"}, "body.file_id"),
        ({"fileName": "a"}, "body.fileName"),
        ({"is_deleted": True}, "body.is_deleted"),
    ],
    ids=str,
)
async def test_a_change_that_cannot_be_is_refused_by_name(
    tenant: TestTenant, changes: Json, field: str
) -> None:
    document = await upload(tenant.user)
    answer = await tenant.user.patch(path(document), json=changes)
    assert_problem(answer, 400, "invalid_request", field)
    assert document_of(await tenant.viewer.get(path(document))) == document


async def test_half_a_surrogate_is_no_name(tenant: TestTenant) -> None:
    document = await upload(tenant.user)
    answer = await tenant.user.patch(
        path(document),
        content=b'{"filename": "\\ud800"}',
        headers={"Content-Type": "application/json"},
    )
    assert_problem(answer, 400, "invalid_request", "body.filename")


async def test_the_file_of_another_tenant_is_no_file(
    tenant: TestTenant, make_tenant: MakeTenant
) -> None:
    theirs = await upload((await make_tenant()).user, b"theirs")
    mine = await upload(tenant.user, b"mine")
    answer = await tenant.user.patch(path(mine), json={"file_id": theirs["file"]["id"]})
    assert_problem(answer, 400, "invalid_request", "body.file_id", word="no such file")


async def test_what_is_not_there_is_not_found(tenant: TestTenant, make_tenant: MakeTenant) -> None:
    theirs = await upload((await make_tenant()).user)
    for unknown in ({"id": str(uuid4())}, theirs):
        for answer in (
            await tenant.admin.get(path(unknown)),
            await tenant.admin.patch(path(unknown), json={"filename": "b"}),
            await tenant.admin.put(path(unknown), json={"filename": "b"}),
            await tenant.admin.delete(path(unknown)),
            await tenant.admin.delete(path(unknown), params={"hard": True}),
            await tenant.admin.get(f"{path(unknown)}/download-url"),
        ):
            assert_problem(answer, 404, "not_found")


async def test_a_viewer_changes_nothing(tenant: TestTenant) -> None:
    document = await upload(tenant.user)
    for method in ("PATCH", "PUT"):
        answer = await tenant.viewer.request(method, path(document), json={"filename": "b"})
        assert_problem(answer, 403, "forbidden")


@pytest.mark.parametrize("header", ["If-Match", "If-None-Match"])
async def test_a_list_of_blanks_and_commas_is_read_at_once(
    tenant: TestTenant, header: str
) -> None:
    """A pattern that can read it in many ways would try them all, and never end."""
    document = await upload(tenant.user)
    lists = {header: '"a"' + "  ,  " * 1000 + "x"}
    if header == "If-Match":
        answer = await tenant.user.patch(path(document), json={"filename": "b"}, headers=lists)
    else:
        answer = await tenant.user.get(path(document), headers=lists)
    assert_problem(answer, 400, "invalid_request", f"header.{header}", word="ETag")
