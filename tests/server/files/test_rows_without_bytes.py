"""Rows of files whose bytes are gone: garbage collection took them, and a backup of the database
brought the rows back. Who sends the bytes again must not be told that they are there."""

import asyncio
from uuid import UUID

import httpx
import pytest

from fixtures.collecting import AT_ONCE, Collector, keys
from fixtures.homes import OTHER, Homes
from fixtures.pulling import BEGINNING, pull
from fixtures.pushing import create, push_one
from fixtures.sending import complete, content_of, declare, sent
from fixtures.service import TestTenant
from fixtures.uploads import upload
from syncapi.server.domain.retention import Garbage, Retention
from syncapi.server.storage.s3 import ObjectStore

BYTES = b"nothing refers to them when the backup is taken"


@pytest.mark.parametrize("way", ["form", "direct"])
async def test_bytes_that_were_collected_after_the_backup_are_taken_again(
    homes: Homes, store: ObjectStore, way: str
) -> None:
    collect = Collector(homes.databases, store, homes.control)
    await upload(homes.client, b"others are kept")
    await sent(homes.client, BYTES)
    await homes.copy_to_other()  # the backup
    gone = await collect(homes.tenant, Retention(files=AT_ONCE, uploads=AT_ONCE))
    assert gone[Garbage.FILES] == 1
    await homes.name(OTHER)
    await homes.feeds.void(lambda _: None, reference=str(homes.tenant.id))

    if way == "form":
        await upload(homes.client, BYTES)
    else:
        file_id = await sent(homes.client, BYTES)
        assert (await push_one(homes.client, create(file_id))).status == "applied"

    paths = await homes.other.fetch(
        "SELECT file.s3_path FROM documents document "
        "JOIN files file ON (file.tenant_id, file.id) = (document.tenant_id, document.file_id)"
    )
    assert len(paths) == 2
    assert {row["s3_path"] for row in paths} <= await keys(store, homes.tenant)


@pytest.fixture
async def without_bytes(tenant: TestTenant, store: ObjectStore) -> UUID:
    """A file that a document refers to, and whose object is gone."""
    file_id = await sent(tenant.user, BYTES)
    assert (await push_one(tenant.user, create(file_id))).status == "applied"
    await store.delete_many(list(await keys(store, tenant)))
    return file_id


async def test_a_file_without_bytes_is_no_outcome_of_an_upload(
    tenant: TestTenant, without_bytes: UUID
) -> None:
    assert (await complete(tenant.user, without_bytes)).status_code == 404
    assert (await tenant.user.get(f"/files/{without_bytes}")).status_code == 404


async def test_who_declares_bytes_that_are_gone_shares_one_upload(
    tenant: TestTenant, without_bytes: UUID
) -> None:
    first = await declare(tenant.user, content_of(BYTES))
    again = await declare(tenant.admin, content_of(BYTES))
    assert (first.status, again.status) == ("pending", "pending")
    assert first.id == again.id != without_bytes


@pytest.mark.parametrize("way", ["form", "direct"])
async def test_bytes_that_are_sent_again_heal_every_document_that_lacks_them(
    tenant: TestTenant, store: ObjectStore, without_bytes: UUID, way: str
) -> None:
    cursor = (await pull(tenant.user, since=BEGINNING)).sync_token
    if way == "form":
        await upload(tenant.user, BYTES)
    else:
        assert await sent(tenant.user, BYTES) == without_bytes

    page = await pull(tenant.user, cursor=cursor)
    healed = [row for row in page.modified if row.file.id == without_bytes]
    assert len(healed) == 1
    async with httpx.AsyncClient() as stranger:
        assert (await stranger.get(str(healed[0].download_url))).content == BYTES
    assert (await declare(tenant.user, content_of(BYTES))).status == "complete"
    assert len(await keys(store, tenant)) == 1


async def test_of_two_who_send_them_again_one_is_kept(
    tenant: TestTenant, store: ObjectStore, without_bytes: UUID
) -> None:
    documents = await asyncio.gather(*(upload(tenant.user, BYTES) for _ in range(4)))
    assert {document["file"]["id"] for document in documents} == {str(without_bytes)}
    assert len(await keys(store, tenant)) == 1
    assert (await declare(tenant.user, content_of(BYTES))).status == "complete"
