"""What a pull tells of each document: added, modified, deleted, against the run's base."""

from datetime import timedelta
from uuid import UUID, uuid4

import httpx
import pytest

from fixtures.pulling import BEGINNING, Replica, added, deleted, modified, pull
from fixtures.service import TestTenant
from fixtures.writing import MakeWriter, SqlWriter
from syncapi.protocol.base import format_time
from syncapi.server.domain.access import Role


@pytest.fixture
async def writer(tenant: TestTenant, make_writer: MakeWriter) -> SqlWriter:
    return await make_writer(tenant.id)


@pytest.fixture
def replica(tenant: TestTenant) -> Replica:
    return Replica(tenant.viewer)


async def test_a_tenant_without_documents_has_an_empty_page(replica: Replica) -> None:
    page = await replica.pull_page()
    assert (page.added, page.modified, page.deleted) == ([], [], [])
    assert not page.has_more
    assert page.next_page is None


async def test_the_first_document_of_a_tenant_comes_after_an_empty_page(
    replica: Replica, writer: SqlWriter
) -> None:
    await replica.pull_page()
    first = await writer.insert_one()
    assert added(await replica.pull_page()) == {first}
    await writer.delete(first)
    assert deleted(await replica.pull_page()) == {first}


async def test_added_modified_and_deleted(replica: Replica, writer: SqlWriter) -> None:
    old, renamed, gone = uuid4(), uuid4(), uuid4()
    await writer.insert(old, renamed, gone)
    assert added(await replica.pull_page()) == {old, renamed, gone}
    new = await writer.insert_one()
    await writer.touch(renamed)
    await writer.delete(gone)
    page = await replica.pull_page()
    assert (added(page), modified(page), deleted(page)) == ({new}, {renamed}, {gone})


async def test_one_created_and_changed_since_is_added(replica: Replica, writer: SqlWriter) -> None:
    await replica.pull_page()
    document = await writer.insert_one()
    await writer.touch(document)
    page = await replica.pull_page()
    assert (added(page), modified(page)) == ({document}, set())


async def test_one_created_and_deleted_since_is_told_as_deleted(
    replica: Replica, writer: SqlWriter
) -> None:
    """A tombstone is never suppressed: a crashed client may hold the document."""
    await writer.insert_one()
    await replica.pull_page()
    brief = await writer.insert_one()
    await writer.delete(brief)
    page = await replica.pull_page()
    assert (added(page), modified(page), deleted(page)) == (set(), set(), {brief})


async def test_an_undeleted_one_is_added(replica: Replica, writer: SqlWriter) -> None:
    document = await writer.insert_one()
    await writer.delete(document)
    await replica.pull_page()
    await writer.undelete(document)
    page = await replica.pull_page()
    assert (added(page), deleted(page)) == ({document}, set())


async def test_deleted_and_undeleted_between_two_pulls_is_added(
    replica: Replica, writer: SqlWriter
) -> None:
    document = await writer.insert_one()
    await replica.pull_page()
    await writer.delete(document)
    await writer.undelete(document)
    page = await replica.pull_page()
    assert added(page) == {document}
    assert replica.documents == await writer.live()


async def test_a_hard_deletion_is_told_with_the_time_of_its_stamp(
    replica: Replica, writer: SqlWriter
) -> None:
    document = await writer.insert_one()
    await replica.pull_page()
    await writer.erase(document)
    page = await replica.pull_page()
    assert deleted(page) == {document}
    assert page.deleted[0].deleted_at == await writer.last_stamp()


async def test_a_soft_deletion_is_told_with_its_own_time(
    replica: Replica, writer: SqlWriter
) -> None:
    document = await writer.insert_one()
    await replica.pull_page()
    await writer.delete(document)
    page = await replica.pull_page()
    kept = await writer.connection.fetchval(
        "SELECT deleted_at FROM documents WHERE tenant_id = $1 AND id = $2",
        writer.tenant_id,
        document,
    )
    assert page.deleted[0].deleted_at == kept


async def test_a_first_run_tells_no_deletions(tenant: TestTenant, writer: SqlWriter) -> None:
    kept, soft, hard = uuid4(), uuid4(), uuid4()
    await writer.insert(kept, soft, hard)
    await writer.delete(soft)
    await writer.erase(hard)
    replica = Replica(tenant.viewer)
    pages = await replica.pull_run(per_page=1)
    assert [deleted(page) for page in pages] == [set()]
    assert added(pages[0]) == {kept}


async def test_a_first_run_brings_even_the_oldest_as_added(
    tenant: TestTenant, writer: SqlWriter
) -> None:
    document = await writer.insert_one()
    await writer.touch(document)
    for since in (BEGINNING, "2000-01-01T00:00:00+02:00", "1969-12-31T23:59:59.999999Z"):
        assert added(await pull(tenant.viewer, since=since)) == {document}


async def test_one_that_is_deleted_during_a_first_run_is_told_in_the_next(
    replica: Replica, writer: SqlWriter
) -> None:
    first, second, third = sorted(uuid4() for _ in range(3))
    await writer.insert(first, second, third)
    await replica.pull_page(per_page=1)
    assert set(replica.documents) == {first}
    await writer.delete(first)
    rest = await replica.pull_run(per_page=5)
    assert [deleted(page) for page in rest] == [set()]
    assert deleted((await replica.pull_run())[0]) == {first}
    assert replica.documents == await writer.live()


async def test_a_run_from_a_time_measures_added_by_that_time(
    tenant: TestTenant, writer: SqlWriter
) -> None:
    old = await writer.insert_one()
    gone = await writer.insert_one()
    between = format_time(await writer.last_stamp())
    await writer.touch(old)
    await writer.delete(gone)
    new = await writer.insert_one()
    page = await pull(tenant.viewer, since=between)
    assert (added(page), modified(page), deleted(page)) == ({new}, {old}, {gone})


async def test_since_is_exclusive_to_the_microsecond(
    tenant: TestTenant, writer: SqlWriter
) -> None:
    await writer.insert_one()
    document = await writer.insert_one()
    stamp = await writer.last_stamp()
    assert added(await pull(tenant.viewer, since=format_time(stamp))) == set()
    before = format_time(stamp - timedelta(microseconds=1))
    assert added(await pull(tenant.viewer, since=before)) == {document}


async def test_the_base_of_a_run_stays_while_it_is_paged(
    replica: Replica, writer: SqlWriter
) -> None:
    """Also on a later page, what appeared after the run's base is added, not modified."""
    await writer.insert_one()
    await replica.pull_run()
    first, second = sorted(uuid4() for _ in range(2))
    await writer.insert(first)
    await writer.insert(second)
    pages = await replica.pull_run(per_page=1)
    assert [added(page) for page in pages] == [{first}, {second}]


async def test_without_deletions(tenant: TestTenant, writer: SqlWriter) -> None:
    document, gone = uuid4(), uuid4()
    await writer.insert(document, gone)
    replica = Replica(tenant.viewer)
    await replica.pull_run(include_deleted=False)
    await writer.delete(gone)
    await writer.touch(document)
    pages = await replica.pull_run(include_deleted=False, per_page=1)
    assert [(modified(page), deleted(page)) for page in pages] == [({document}, set())]


async def test_a_document_as_it_is_told(tenant: TestTenant) -> None:
    content = "Grüße\n".encode()
    answer = await tenant.user.post(
        "/documents", files={"file": ("Übersicht 文書.txt", content, "text/plain")}
    )
    created = answer.json()["data"]["document"]
    page = await pull(tenant.viewer, since=BEGINNING)
    told = page.added[0].model_dump(mode="json")
    url = told.pop("download_url")
    assert told == created
    assert told["filename"] == "Übersicht 文書.txt"
    assert told["created_by"] == str(tenant.members[Role.USER])
    async with httpx.AsyncClient() as stranger:  # the URL is all it takes
        fetched = await stranger.get(url)
    assert fetched.status_code == 200
    assert fetched.content == content


async def test_a_document_of_no_user_is_told(replica: Replica, writer: SqlWriter) -> None:
    document = await writer.insert_one()
    page = await replica.pull_page()
    assert page.added[0].id == document
    assert page.added[0].user_id is None
    assert page.added[0].created_by is None


async def test_without_urls(tenant: TestTenant, writer: SqlWriter) -> None:
    await writer.insert_one()
    page = await pull(tenant.viewer, since=BEGINNING, include_urls=False)
    assert [document.download_url for document in page.added] == [None]


async def test_urls_may_come_and_go_within_a_run(replica: Replica, writer: SqlWriter) -> None:
    """They are no filter: which documents a page has does not depend on them."""
    await writer.insert(*(uuid4() for _ in range(2)))
    first = await replica.pull_page(per_page=1, include_urls=False)
    second = await replica.pull_page(per_page=1, include_urls=True)
    assert first.added[0].download_url is None
    assert second.added[0].download_url is not None


async def test_one_that_went_behind_the_back_of_the_triggers_is_told_as_deleted(
    replica: Replica, writer: SqlWriter
) -> None:
    document: UUID = await writer.insert_one()
    await replica.pull_page()
    await writer.touch(document)
    async with writer.connection.transaction():
        await writer.connection.execute("SET LOCAL session_replication_role = replica")
        await writer.erase(document)
    assert deleted(await replica.pull_page()) == {document}


async def test_a_first_run_does_not_tell_that_either(replica: Replica, writer: SqlWriter) -> None:
    document = await writer.insert_one()
    async with writer.connection.transaction():
        await writer.connection.execute("SET LOCAL session_replication_role = replica")
        await writer.erase(document)
    page = await replica.pull_page()
    assert (page.added, page.deleted) == ([], [])


async def test_what_is_rolled_back_is_not_told(replica: Replica, writer: SqlWriter) -> None:
    kept = await writer.insert_one()
    await replica.pull_page()
    async with writer.connection.transaction():
        await writer.touch(kept)
        savepoint = writer.connection.transaction()
        await savepoint.start()
        await writer.insert_one()
        await savepoint.rollback()
    page = await replica.pull_page()
    assert (added(page), modified(page)) == (set(), {kept})
