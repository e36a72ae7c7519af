"""Pushes over HTTP: what is told, what is kept, and what is harmless to repeat."""

import asyncio
from uuid import UUID, uuid4

from fixtures.pulling import Replica, added, problem_of
from fixtures.pushing import Json, create, delete, push, push_one, send, update
from fixtures.service import MakeTenant, TestTenant
from fixtures.uploads import document_of, upload
from syncapi.protocol.documents import Document


def version_of(document: Document | None) -> str:
    assert document is not None
    return str(document.model_dump(mode="json")["updated_at"])


async def test_a_batch_is_one_version_in_the_feed(tenant: TestTenant) -> None:
    file = (await upload(tenant.user))["file"]
    replica = Replica(tenant.viewer)
    await replica.pull_run()
    changes = [create(UUID(file["id"]), filename=f"{n}.txt") for n in range(500)]

    results = await push(tenant.user, *changes)

    assert [str(result.id) for result in results] == [change["id"] for change in changes]
    assert {result.status for result in results} == {"applied"}
    assert len({version_of(result.document) for result in results}) == 1
    pages = await replica.pull_run(per_page=500)
    assert added(pages[0]) == {result.id for result in results}
    pulled = {document.id: document for document in pages[0].added}
    for result in results:
        assert result.document is not None
        assert pulled[result.id].model_dump(exclude={"download_url"}) == (
            result.document.model_dump()
        )


async def test_a_repeat_changes_nothing_and_tells_the_document(tenant: TestTenant) -> None:
    file = (await upload(tenant.user))["file"]
    change = create(UUID(file["id"]))
    first = await push_one(tenant.user, change)
    renamed = update(first.id, version_of(first.document), filename="renamed.txt")
    second = await push_one(tenant.user, renamed)

    again = await push(tenant.admin, create(UUID(file["id"])), renamed)
    once_more = await push_one(tenant.user, change)

    assert [result.status for result in again] == ["applied", "unchanged"]
    assert once_more.status == "unchanged"
    assert again[1].document == once_more.document == second.document


async def test_a_change_id_names_one_change(tenant: TestTenant) -> None:
    file = (await upload(tenant.user))["file"]
    change = create(UUID(file["id"]))
    await push_one(tenant.user, change)
    result = await push_one(tenant.user, change | {"id": str(uuid4())})
    assert result.status == "rejected"
    assert result.problem is not None
    assert "change_id" in result.problem.detail


async def test_a_conflict_never_sinks_the_others_when_partial(tenant: TestTenant) -> None:
    document = await upload(tenant.user)
    file_id = UUID(document["file"]["id"])
    stale = update(document["id"], "2001-01-01T00:00:00Z", filename="stale.txt")
    results = await push(tenant.user, create(file_id), stale, create(file_id))
    assert [result.status for result in results] == ["applied", "conflict", "applied"]
    conflict = results[1].conflict
    assert conflict is not None
    assert conflict.server is not None
    assert str(conflict.server.id) == document["id"]
    assert conflict.fields == ["filename"]


async def test_atomic_applies_all_or_none(tenant: TestTenant) -> None:
    document = await upload(tenant.user)
    file_id = UUID(document["file"]["id"])
    stale = update(document["id"], "2001-01-01T00:00:00Z", filename="stale.txt")
    new = create(file_id)

    results = await push(tenant.user, new, stale, mode="atomic")

    assert [result.status for result in results] == ["rejected", "conflict"]
    assert results[0].problem is not None
    assert results[0].problem.code == "not_applied"
    answer = await tenant.user.get(f"/documents/{new['id']}")
    problem_of(answer, 404, "not_found")
    settled = update(document["id"], document["updated_at"], filename="settled.txt")
    results = await push(tenant.user, new, settled, mode="atomic")
    assert [result.status for result in results] == ["applied", "applied"]


async def test_an_open_conflict_is_settled_by_a_new_change(tenant: TestTenant) -> None:
    document = await upload(tenant.user)
    theirs = update(document["id"], document["updated_at"], filename="theirs.txt")
    await push_one(tenant.admin, theirs)
    mine = update(document["id"], document["updated_at"], filename="mine.txt")
    refused = await push_one(tenant.user, mine)
    assert refused.conflict is not None
    assert refused.conflict.base is not None
    assert refused.conflict.base.filename == document["filename"]

    settled = update(document["id"], version_of(refused.conflict.server), filename="mine.txt")
    assert (await push_one(tenant.user, settled)).status == "applied"


async def test_a_version_that_was_overwritten_stays_in_the_history(tenant: TestTenant) -> None:
    document = await upload(tenant.user)
    names = ["one.txt", "two.txt", "three.txt"]
    for name in names:
        change = update(document["id"], document["updated_at"], filename=name)
        assert (await push_one(tenant.user, change, on_conflict="last_write_wins")).status == (
            "applied"
        )
    history = (await tenant.user.get(f"/documents/{document['id']}/history")).json()["data"]
    kept = [version["filename"] for version in history["versions"]]
    assert kept == [*reversed(names), document["filename"]]


async def test_deleting_needs_its_permission(tenant: TestTenant) -> None:
    document = await upload(tenant.user)
    change = delete(UUID(document["id"]), document["updated_at"])
    refused = await push_one(tenant.user, change)
    assert refused.status == "rejected"
    assert refused.problem is not None
    assert refused.problem.code == "forbidden"
    assert (await push_one(tenant.admin, change)).status == "applied"


async def test_documents_and_files_of_other_tenants_are_unknown(
    tenant: TestTenant, make_tenant: MakeTenant
) -> None:
    other = await make_tenant()
    theirs = await upload(other.user)
    mine = update(theirs["id"], theirs["updated_at"], filename="taken.txt")
    removal = delete(UUID(theirs["id"]), theirs["updated_at"])
    results = await push(tenant.admin, mine, create(UUID(theirs["file"]["id"])))
    codes = [result.problem and result.problem.code for result in results]
    assert codes == ["not_found", "invalid_file"]
    assert (await push_one(tenant.admin, removal)).status == "unchanged"
    assert document_of(await other.user.get(f"/documents/{theirs['id']}")) == theirs


async def test_the_same_id_in_two_tenants_is_two_documents(
    tenant: TestTenant, make_tenant: MakeTenant
) -> None:
    other = await make_tenant()
    theirs = await upload(other.user)
    file_id = UUID((await upload(tenant.user))["file"]["id"])
    result = await push_one(tenant.user, create(file_id, document=UUID(theirs["id"])))
    assert result.status == "applied"
    assert document_of(await other.user.get(f"/documents/{theirs['id']}")) == theirs


async def test_what_is_wrong_is_named(tenant: TestTenant) -> None:
    change = create(uuid4())
    bad: list[tuple[list[Json], str]] = [
        ([], "body.changes"),
        ([create(uuid4()) for _ in range(501)], "body.changes"),
        ([change, change | {"change_id": str(uuid4())}], "body.changes.1.id"),
        (
            [change, create(uuid4()) | {"change_id": change["change_id"]}],
            "body.changes.1.change_id",
        ),
        ([change | {"fliename": "x"}], "body.changes.0.create.fliename"),
        ([change | {"op": "upsert"}], "body.changes.0"),
        ([update(uuid4(), "2001-01-01T00:00:00Z")], "body.changes.0.update"),
        ([update(uuid4(), "yesterday", filename="x")], "body.changes.0.update.base_updated_at"),
    ]
    for changes, field in bad:
        problem = problem_of(await send(tenant.user, *changes), 400, "invalid_request")
        assert field in [error.field for error in problem.errors], problem.errors


async def test_one_file_under_many_pushes_at_once(tenant: TestTenant) -> None:
    """Every push is answered, and the feed has each document once."""
    file_id = UUID((await upload(tenant.user))["file"]["id"])
    changes = [create(file_id) for _ in range(60)]
    results = await asyncio.gather(*(push_one(tenant.user, change) for change in changes))
    assert {result.status for result in results} == {"applied"}
    replica = Replica(tenant.viewer)
    await replica.pull_run()
    assert {result.id for result in results} <= set(replica.documents)


async def test_racing_edits_are_one_winner_and_conflicts(tenant: TestTenant) -> None:
    document = await upload(tenant.user)
    edits = [
        update(document["id"], document["updated_at"], filename=f"{n}.txt") for n in range(12)
    ]
    results = await asyncio.gather(*(push_one(tenant.user, edit) for edit in edits))
    assert sorted(result.status for result in results) == ["applied"] + ["conflict"] * 11
    winner = next(result for result in results if result.status == "applied")
    for result in results:
        if result.conflict is not None:
            assert result.conflict.server == winner.document


async def test_racing_creates_of_one_id_are_one_document(tenant: TestTenant) -> None:
    file_id, document = UUID((await upload(tenant.user))["file"]["id"]), uuid4()
    creates = [create(file_id, document=document, filename=f"{n}.txt") for n in range(8)]
    results = await asyncio.gather(*(push_one(tenant.user, one) for one in creates))
    assert sorted(result.status for result in results) == ["applied"] + ["conflict"] * 7


async def test_the_same_push_sent_at_once_is_applied_once(tenant: TestTenant) -> None:
    document = await upload(tenant.user)
    change = update(document["id"], document["updated_at"], filename="once.txt")
    results = await asyncio.gather(*(push_one(tenant.user, change) for _ in range(8)))
    assert sorted(result.status for result in results) == ["applied"] + ["unchanged"] * 7
    assert len({version_of(result.document) for result in results}) == 1
