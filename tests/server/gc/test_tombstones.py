"""Old deletions are forgotten, and nobody misses one without being told."""

import asyncio
import hashlib
from datetime import datetime
from uuid import UUID, uuid4

import httpx
import pytest

from fixtures.collecting import AT_ONCE, Collector
from fixtures.pulling import BEGINNING, Replica, added, ask, deleted, problem_of, pull
from fixtures.pushing import create, push_one, update
from fixtures.service import TestTenant
from fixtures.uploads import document_of, upload
from fixtures.writing import MakeWriter
from syncapi.protocol.sync import SyncedDocument, SyncPage
from syncapi.server.domain.retention import Garbage, Retention

DELETIONS = Retention(tombstones=AT_ONCE)


async def uploaded(tenant: TestTenant, *names: str) -> list[UUID]:
    return [UUID((await upload(tenant.user, filename=name))["id"]) for name in names]


async def test_cursors_below_the_floor_end_and_those_above_go_on(
    tenant: TestTenant, collect: Collector
) -> None:
    kept, gone = await uploaded(tenant, "kept.txt", "gone.txt")
    early, late = Replica(tenant.viewer), Replica(tenant.viewer)
    await early.pull_run()
    await late.pull_run()
    await tenant.admin.delete(f"/documents/{gone}")
    await late.pull_run()

    assert await collect(tenant, DELETIONS) == {Garbage.TOMBSTONES: 1}

    problem = problem_of(await ask(tenant.viewer, cursor=early.token or ""), 410, "cursor_expired")
    assert "since" in problem.detail
    (new,) = await uploaded(tenant, "new.txt")
    (page,) = await late.pull_run()
    assert (added(page), deleted(page)) == ({new}, set())
    assert set(late.documents) == {kept, new}


async def test_deletions_that_are_young_stay(tenant: TestTenant, collect: Collector) -> None:
    (document,) = await uploaded(tenant, "a.txt")
    replica = Replica(tenant.viewer)
    await replica.pull_run()
    await tenant.admin.delete(f"/documents/{document}")
    assert await collect(tenant) == {}
    assert deleted((await replica.pull_run())[0]) == {document}


async def test_a_dry_run_changes_nothing(tenant: TestTenant, collect: Collector) -> None:
    (document,) = await uploaded(tenant, "a.txt")
    replica = Replica(tenant.viewer)
    await replica.pull_run()
    await tenant.admin.delete(f"/documents/{document}")
    for _ in range(2):
        found = await collect(tenant, DELETIONS, is_dry=True)
        assert found == {Garbage.TOMBSTONES: 1}
    assert deleted((await replica.pull_run())[0]) == {document}


@pytest.mark.parametrize("how", ["softly", "for good", "by SQL"])
async def test_an_id_is_free_again(
    tenant: TestTenant, collect: Collector, make_writer: MakeWriter, how: str
) -> None:
    document = await upload(tenant.user)
    document_id = UUID(document["id"])
    writer = await make_writer(tenant.id)
    match how:
        case "softly":
            await tenant.admin.delete(f"/documents/{document_id}")
        case "for good":
            await tenant.admin.delete(f"/documents/{document_id}", params={"hard": "true"})
        case _:
            await writer.erase(document_id)
    replica = Replica(tenant.viewer)
    await replica.pull_run()
    assert (await collect(tenant, DELETIONS))[Garbage.TOMBSTONES] == 1
    rows = "SELECT count(*) FROM documents WHERE tenant_id = $1 AND id = $2"
    assert await writer.connection.fetchval(rows, tenant.id, document_id) == 0
    assert await replica.pull_page() is not None, "its end is no news"
    assert document_id not in replica.documents

    made = await push_one(tenant.user, create(writer.file_id, document=document_id))
    assert made.status == "applied"
    assert added((await replica.pull_run())[0]) == {document_id}


async def test_a_collected_document_comes_back_from_its_history(
    tenant: TestTenant, collect: Collector
) -> None:
    document = await upload(tenant.user, b"once", "once.txt")
    await tenant.admin.delete(f"/documents/{document['id']}")
    replica = Replica(tenant.viewer)
    await replica.pull_run()
    await collect(tenant, Retention(tombstones=AT_ONCE, files=AT_ONCE))
    path = f"/documents/{document['id']}"
    problem_of(await tenant.user.get(path), 404, "not_found")
    problem_of(await tenant.admin.delete(path), 404, "not_found")
    restored = document_of(await tenant.user.post(f"{path}/restore", json={}))
    assert (restored["filename"], restored["file"]) == ("once.txt", document["file"])
    assert added((await replica.pull_run())[0]) == {UUID(document["id"])}


async def test_it_goes_in_batches(
    tenant: TestTenant, collect: Collector, make_writer: MakeWriter
) -> None:
    writer = await make_writer(tenant.id)
    ids = [uuid4() for _ in range(7)]
    await writer.insert(*ids)
    await writer.delete(*ids[:4])
    await writer.erase(*ids[4:6])
    assert await collect(tenant, DELETIONS, batch=2) == {Garbage.TOMBSTONES: 6}
    assert len(collect.told) > 3
    assert set(await writer.live()) == {ids[6]}


async def test_an_undeletion_in_the_meantime_wins(
    tenant: TestTenant, collect: Collector, make_writer: MakeWriter
) -> None:
    """Deleted, collected and undeleted again and again, at once: it is there or it is not."""
    writer = await make_writer(tenant.id)
    document = await writer.insert_one()
    replica = Replica(tenant.viewer)
    for _ in range(10):
        await writer.delete(document)
        await replica.pull_run()
        await asyncio.gather(writer.undelete(document), collect(tenant, DELETIONS))
        await replica.pull_run()
        assert replica.documents == await writer.live()
        if document not in replica.documents:
            await writer.insert(document)


class Client:
    """Keeps bytes too, and resyncs as the protocol says."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self.kept: dict[UUID, tuple[datetime, str]] = {}
        self.contents: dict[str, bytes] = {}
        self.downloads = 0
        self.token: str | None = None

    async def sync(self) -> None:
        start = {"since": BEGINNING} if self.token is None else {"cursor": self.token}
        answer = await ask(self._client, **start)
        if answer.status_code == 410:
            await self._resync()
        else:
            await self._apply(await pull(self._client, **start))

    async def _apply(self, page: SyncPage) -> None:
        for document in (*page.added, *page.modified):
            await self._take(document)
        for tombstone in page.deleted:
            self.kept.pop(tombstone.id, None)
        self.token = page.sync_token

    async def _resync(self) -> None:
        page = await pull(self._client, since=BEGINNING, include_urls=False)
        for document in page.added:
            await self._take(document)
        brought = {document.id for document in page.added}
        self.kept = {id_: held for id_, held in self.kept.items() if id_ in brought}
        self.token = page.sync_token

    async def _take(self, document: SyncedDocument) -> None:
        sha256 = document.file.sha256_hash
        if sha256 not in self.contents:
            self.contents[sha256] = await self._download(document.id)
            self.downloads += 1
        assert hashlib.sha256(self.contents[sha256]).hexdigest() == sha256
        self.kept[document.id] = (document.updated_at, sha256)

    async def _download(self, document_id: UUID) -> bytes:
        answer = await self._client.get(f"/documents/{document_id}/download-url")
        async with httpx.AsyncClient() as stranger:
            return (await stranger.get(answer.json()["data"]["download_url"])).content


async def test_a_resync_downloads_only_what_differs(
    tenant: TestTenant, collect: Collector
) -> None:
    documents = [await upload(tenant.user, f"bytes {n}".encode(), f"{n}.txt") for n in range(6)]
    client = Client(tenant.viewer)
    await client.sync()
    assert client.downloads == 6
    await tenant.admin.delete(f"/documents/{documents[0]['id']}")
    other = await upload(tenant.user, b"new bytes", "new.txt")
    await push_one(
        tenant.user,
        update(UUID(documents[1]["id"]), documents[1]["updated_at"], file_id=other["file"]["id"]),
    )
    await tenant.user.patch(f"/documents/{documents[2]['id']}", json={"filename": "renamed.txt"})
    await collect(tenant, DELETIONS)

    await client.sync()

    assert client.downloads == 7, "one new content, which two documents have"
    fresh = Client(tenant.viewer)
    await fresh.sync()
    assert client.kept == fresh.kept
    await upload(tenant.user, b"later", "later.txt")
    await client.sync()
    assert client.downloads == 8
