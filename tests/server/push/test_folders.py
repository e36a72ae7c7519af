"""Folders in pushes: a field like the others, which moves a document without touching its name."""

from uuid import UUID

import pytest

from fixtures.pulling import BEGINNING, Replica, problem_of, pull
from fixtures.pushing import Json, create, push_one, send, update
from fixtures.service import TestTenant
from fixtures.uploads import upload
from fixtures.writing import MakeWriter
from syncapi.protocol.base import format_time
from syncapi.protocol.push import ChangeResult


async def made(tenant: TestTenant, folder: str = "a") -> tuple[UUID, str, UUID]:
    """A document in a folder, its version, and the file."""
    file_id = UUID((await upload(tenant.user))["file"]["id"])
    result = await push_one(tenant.user, create(file_id, folder=folder))
    return result.id, version_of(result), file_id


def version_of(result: ChangeResult) -> str:
    assert result.document is not None
    return format_time(result.document.updated_at)


def place_of(result: ChangeResult) -> tuple[str, str]:
    assert result.document is not None
    return result.document.folder, result.document.filename


async def test_a_create_stands_in_its_folder_or_in_the_root(tenant: TestTenant) -> None:
    file_id = UUID((await upload(tenant.user))["file"]["id"])
    inside = await push_one(tenant.user, create(file_id, folder="reports/2026"))
    older = await push_one(tenant.user, create(file_id))  # of a client that knows no folders
    assert (place_of(inside)[0], place_of(older)[0]) == ("reports/2026", "")
    page = await pull(tenant.viewer, since=BEGINNING)
    folders = {document.id: document.folder for document in page.added}
    assert (folders[inside.id], folders[older.id]) == ("reports/2026", "")


async def test_the_same_document_in_another_folder_is_another_one(tenant: TestTenant) -> None:
    document, _, file_id = await made(tenant, "a")
    again = await push_one(tenant.user, create(file_id, document=document, folder="a"))
    assert again.status == "unchanged"
    other = await push_one(tenant.user, create(file_id, document=document, folder="b"))
    assert other.status == "conflict"
    assert other.conflict is not None
    assert other.conflict.fields == ["folder"]


async def test_a_move_is_an_update_and_an_edit_keeps_the_folder(tenant: TestTenant) -> None:
    document, version, _ = await made(tenant, "a")
    moved = await push_one(tenant.user, update(document, version, folder="b/c"))
    assert (moved.status, place_of(moved)) == ("applied", ("b/c", "made.txt"))
    renamed = await push_one(tenant.user, update(document, version_of(moved), filename="n.txt"))
    assert (renamed.status, place_of(renamed)) == ("applied", ("b/c", "n.txt"))
    up = await push_one(tenant.user, update(document, version_of(renamed), folder=""))
    assert (up.status, place_of(up)) == ("applied", ("", "n.txt"))


async def test_a_move_and_a_rename_from_two_sides_merge(tenant: TestTenant) -> None:
    document, version, _ = await made(tenant, "a")
    await push_one(tenant.admin, update(document, version, filename="theirs.txt"))
    mine = update(document, version, folder="b")
    merged = await push_one(tenant.user, mine, on_conflict="merge")
    assert (merged.status, place_of(merged)) == ("applied", ("b", "theirs.txt"))
    assert merged.conflict is not None
    assert (merged.conflict.resolution, merged.conflict.fields) == ("merged", ["folder"])
    assert merged.conflict.base is not None
    assert merged.conflict.base.folder == "a"


async def test_two_moves_apart_are_a_conflict_that_names_the_folder(tenant: TestTenant) -> None:
    document, version, _ = await made(tenant, "a")
    await push_one(tenant.admin, update(document, version, folder="theirs"))
    refused = await push_one(
        tenant.user, update(document, version, folder="mine"), on_conflict="merge"
    )
    assert refused.status == "conflict"
    assert refused.conflict is not None
    assert (refused.conflict.resolution, refused.conflict.fields) == ("open", ["folder"])
    assert refused.conflict.server is not None
    assert refused.conflict.server.folder == "theirs"


async def test_two_moves_alike_are_none(tenant: TestTenant) -> None:
    document, version, _ = await made(tenant, "a")
    await push_one(tenant.admin, update(document, version, folder="both"))
    same = await push_one(tenant.user, update(document, version, folder="both"))
    assert same.status == "unchanged"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"op": "create", "folder": "/a"}, "body.changes.0.create.folder"),
        ({"op": "update", "folder": "a/.."}, "body.changes.0.update.folder"),
    ],
    ids=["create", "update"],
)
async def test_a_bad_folder_is_named(tenant: TestTenant, change: Json, field: str) -> None:
    document, version, file_id = await made(tenant)
    whole = {"create": create(file_id), "update": update(document, version)}[change["op"]]
    problem = problem_of(await send(tenant.user, whole | change), 400, "invalid_request")
    assert [error.field for error in problem.errors] == [field]


async def test_whoever_writes_by_sql_moves_too(
    tenant: TestTenant, make_writer: MakeWriter
) -> None:
    document, version, _ = await made(tenant, "a")
    replica = Replica(tenant.viewer)
    await replica.pull_run()
    writer = await make_writer(tenant.id)
    rootless = await writer.insert_one()  # names no folder
    move = "UPDATE documents SET folder = 'by sql' WHERE tenant_id = $1 AND id = $2"
    await writer.connection.execute(move, tenant.id, document)
    (page,) = await replica.pull_run()
    folders = {one.id: one.folder for one in (*page.added, *page.modified)}
    assert folders == {document: "by sql", rootless: ""}
    merged = await push_one(
        tenant.user, update(document, version, filename="n.txt"), on_conflict="merge"
    )
    assert place_of(merged) == ("by sql", "n.txt")
