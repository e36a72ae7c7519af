"""A wrong copy of a tenant's database that is used as if it were the tenant's own."""

from datetime import timedelta
from uuid import UUID

import pytest

from fixtures.collecting import AT_ONCE, Collector, keys
from fixtures.homes import OTHER, Homes
from fixtures.pushing import create, push_one
from fixtures.sending import content_of, declare, pending, send, sent
from fixtures.strange import give_sha256
from fixtures.uploads import upload
from syncapi.server.domain.retention import Garbage, Retention
from syncapi.server.storage.s3 import ObjectStore

UNUSED = Retention(files=AT_ONCE, uploads=AT_ONCE)
LONG = Retention(files=timedelta(days=30), uploads=timedelta(days=30))


@pytest.fixture
def collect(homes: Homes, store: ObjectStore) -> Collector:
    """Knows both databases."""
    return Collector(homes.databases, store, homes.control)


async def past(homes: Homes, statement: str) -> None:
    """Change the tenant's rows of its own database, past the triggers."""
    async with homes.databases.database("default") as driver, driver.transaction():
        await driver.execute("SET LOCAL session_replication_role = replica")
        await driver.execute(f"UPDATE {statement} WHERE tenant_id = $1", homes.tenant.id)


async def replace_content(homes: Homes, document: str) -> None:
    file_id = await sent(homes.client, b"written into the copy")
    answer = await homes.client.patch(f"/documents/{document}", json={"file_id": str(file_id)})
    assert answer.status_code == 200


async def erase(homes: Homes, document: str) -> None:
    answer = await homes.client.delete(f"/documents/{document}", params={"hard": True})
    assert answer.status_code == 200


class TestHowFarBackACopyMayLackWhatIsNeeded:
    """As far as the original may have kept what nothing referred to yet."""

    async def test_a_file_as_old_as_files_are_kept(
        self, homes: Homes, collect: Collector, store: ObjectStore
    ) -> None:
        await sent(homes.client, b"not referred to yet")
        await past(homes, "files SET updated_at = now() - interval '29.5 days'")
        assert await collect(homes.tenant, LONG) == {}
        await homes.copy_to_other()
        file_id = await sent(homes.client, b"not referred to yet")
        assert (await push_one(homes.client, create(file_id))).status == "applied"
        await homes.name(OTHER)
        await self._expect_nothing_a_day_later(homes, collect, store)

    async def test_an_upload_as_old_as_uploads_are_kept(
        self, homes: Homes, collect: Collector, store: ObjectStore
    ) -> None:
        invitation = pending(await declare(homes.client, content_of(b"under way")))
        await send(invitation, invitation.parts, lambda *_: b"under way")
        await past(homes, "direct_uploads SET expires_at = now() - interval '29.5 days'")
        assert await collect(homes.tenant, LONG) == {}
        await homes.copy_to_other()
        file_id = await sent(homes.client, b"under way")
        assert (await push_one(homes.client, create(file_id))).status == "applied"
        await homes.name(OTHER)
        await self._expect_nothing_a_day_later(homes, collect, store)

    async def _expect_nothing_a_day_later(
        self, homes: Homes, collect: Collector, store: ObjectStore
    ) -> None:
        needed = await keys(store, homes.tenant)
        assert await collect(homes.tenant, LONG) == {}
        for column in ("feed_forks SET left_at = left_at", "feed_forks SET forked_at = forked_at"):
            await homes.other.execute(f"UPDATE {column} - interval '1 day'")
        await homes.other.execute("UPDATE files SET updated_at = updated_at - interval '1 day'")
        await homes.other.execute(
            "UPDATE direct_uploads SET expires_at = expires_at - interval '1 day'"
        )
        assert await collect(homes.tenant, LONG) == {}
        assert await keys(store, homes.tenant) == needed


async def test_where_the_clock_is_days_ahead_everything_stays(
    homes: Homes, collect: Collector, store: ObjectStore
) -> None:
    """Its stamps do not say when the copy was made."""
    await past(homes, "tenant_clock SET last = now() + interval '10 days'")
    assert await collect(homes.tenant) == {}
    await homes.copy_to_other()
    await upload(homes.client, b"new")
    needed = await keys(store, homes.tenant)
    await homes.name(OTHER)
    assert await collect(homes.tenant, UNUSED) == {}
    assert await keys(store, homes.tenant) == needed


async def test_a_dry_run_counts_nothing_that_a_run_leaves(
    homes: Homes, collect: Collector, store: ObjectStore
) -> None:
    """Where the copy's clock has not ticked yet, a run notes that it is one, and a dry run not."""
    assert await collect(homes.tenant) == {}
    await sent(homes.client, b"not referred to yet")
    await declare(homes.client, content_of(b"under way"))
    await past(homes, "direct_uploads SET expires_at = now()")
    await homes.copy_to_other()
    await upload(homes.client, b"what the copy lacks")
    needed = await keys(store, homes.tenant)
    await homes.name(OTHER)
    assert await collect(homes.tenant, UNUSED, is_dry=True) == {}
    assert await homes.other.fetchval("SELECT count(*) FROM feed_forks") == 0
    assert await collect(homes.tenant, UNUSED) == {}
    assert await keys(store, homes.tenant) == needed


class TestWhatTheCopyFrees:
    """It was used by a document for long, and still is in the original."""

    @pytest.fixture
    async def document(self, homes: Homes) -> str:
        document = await upload(homes.client, b"contract")
        await past(homes, "files SET updated_at = now() - interval '40 days'")
        for table in ("document_history", "feed_entries"):
            await past(homes, f"{table} SET updated_at = updated_at - interval '40 days'")
        return str(document["id"])

    @pytest.mark.parametrize(
        "limits",
        [Retention(history_versions=1), Retention(history_age=timedelta(days=30))],
        ids=["number", "age"],
    )
    async def test_by_an_edit(
        self,
        homes: Homes,
        collect: Collector,
        store: ObjectStore,
        document: str,
        limits: Retention,
    ) -> None:
        assert await collect(homes.tenant) == {}
        await homes.copy_to_other()
        needed = await keys(store, homes.tenant)
        await homes.name(OTHER)
        await replace_content(homes, document)
        assert await collect(homes.tenant, limits) == {Garbage.VERSIONS: 1}
        assert await keys(store, homes.tenant) >= needed

    async def test_by_the_end_of_a_deletion(
        self, homes: Homes, collect: Collector, store: ObjectStore, document: str
    ) -> None:
        """The original has brought the document back."""
        assert (await homes.client.delete(f"/documents/{document}")).status_code == 200
        limits = Retention(history_age=timedelta(days=30))
        await past(homes, "document_history SET updated_at = updated_at - interval '40 days'")
        assert await collect(homes.tenant, limits) == {Garbage.VERSIONS: 2}
        await past(homes, "files SET updated_at = now() - interval '40 days'")
        await homes.copy_to_other()
        needed = await keys(store, homes.tenant)
        await homes.name(OTHER)
        assert await collect(homes.tenant, Retention(tombstones=AT_ONCE)) == {
            Garbage.TOMBSTONES: 1
        }
        assert await keys(store, homes.tenant) == needed

    @pytest.mark.parametrize("is_refused", [False, True])
    async def test_by_an_erasure(
        self,
        homes: Homes,
        collect: Collector,
        store: ObjectStore,
        document: str,
        *,
        is_refused: bool,
    ) -> None:
        """The first write into the copy, or one after the collector has refused it."""
        await homes.copy_to_other()
        await upload(homes.client, b"after")
        assert await collect(homes.tenant) == {}
        needed = await keys(store, homes.tenant)
        await homes.name(OTHER)
        if is_refused:
            await upload(homes.client, b"written into the copy")
            assert (await collect.outcome(homes.tenant)).error is not None
        await erase(homes, document)
        assert await keys(store, homes.tenant) >= needed

    async def test_an_erasure_in_a_copy_leaves_the_bytes_to_the_collector(
        self, homes: Homes, collect: Collector, store: ObjectStore, document: str
    ) -> None:
        assert await collect(homes.tenant) == {}
        await homes.copy_to_other()
        needed = await keys(store, homes.tenant)
        await homes.name(OTHER)
        await erase(homes, document)
        assert await collect(homes.tenant) == {}
        assert await keys(store, homes.tenant) == needed
        await homes.other.execute("UPDATE feed_forks SET left_at = left_at - interval '8 days'")
        await homes.other.execute("UPDATE files SET updated_at = updated_at - interval '8 days'")
        assert await collect(homes.tenant) == {Garbage.FILES: 1}

    async def test_an_erasure_in_the_original_takes_the_bytes_at_once(
        self, homes: Homes, store: ObjectStore, document: str
    ) -> None:
        await erase(homes, document)
        assert await keys(store, homes.tenant) == set()


async def test_a_version_whose_files_row_takes_no_update_is_collected(
    homes: Homes, collect: Collector
) -> None:
    """It is one of before the constraints, with a hash that is none."""
    document = await upload(homes.client, b"old")
    await homes.copy_to_other()
    await homes.name(OTHER)
    await give_sha256(homes.other, UUID(document["file"]["id"]), "none")
    await replace_content(homes, document["id"])
    assert await collect(homes.tenant, Retention(history_versions=1)) == {Garbage.VERSIONS: 2}
