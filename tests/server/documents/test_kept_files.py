"""Whether a row keeps some bytes, asked while others insert and delete it."""

import asyncio
from datetime import timedelta
from functools import partial
from uuid import UUID, uuid4

import pytest

from fixtures.pausing import Pausing, is_waiting
from fixtures.service import TestTenant
from fixtures.until import until
from syncapi.protocol.content import Digest
from syncapi.server.postgres import documents, files
from syncapi.server.postgres.databases import Databases, TenantConnection
from syncapi.server.postgres.files import StoredFile


def new_file(sha256_hash: str = "a" * 64) -> StoredFile:
    return StoredFile(uuid4(), f"path/{uuid4()}", Digest("b" * 32, sha256_hash, 7))


async def add_document(tx: TenantConnection, file: StoredFile) -> UUID:
    kept = await files.adopt(tx, file)
    document = await documents.add(
        tx, uuid4(), folder="", filename="a", mime_type="a/b", file=kept
    )
    return document.id


async def erase(tx: TenantConnection, document_id: UUID) -> None:
    file_ids = await documents.remove(tx, document_id)
    await files.drop_unreferenced(tx, file_ids, unpromised_for=timedelta(0))


async def test_bytes_that_no_row_has_are_not_kept(
    databases: Databases, tenant: TestTenant
) -> None:
    file = new_file()
    asked = partial(files.is_kept, file=file)
    assert await databases.writing(tenant.scope(), asked) is False
    assert await databases.writing(tenant.scope(), asked) is False  # asking left no row
    await databases.writing(tenant.scope(), partial(add_document, file=file))
    assert await databases.writing(tenant.scope(), asked) is True


async def test_bytes_that_lost_to_the_same_ones_are_not_kept(
    databases: Databases, tenant: TestTenant
) -> None:
    winner, loser = new_file(), new_file()
    assert await databases.writing(tenant.scope(), partial(files.adopt, file=winner)) == winner
    assert await databases.writing(tenant.scope(), partial(files.adopt, file=loser)) == winner
    assert await databases.writing(tenant.scope(), partial(files.is_kept, file=loser)) is False
    assert await databases.writing(tenant.scope(), partial(files.is_kept, file=winner)) is True


@pytest.mark.parametrize("commits", [True, False], ids=["commit", "rollback"])
async def test_asking_waits_for_who_is_about_to_keep_them(
    databases: Databases, tenant: TestTenant, commits: bool
) -> None:
    """A lost connection leaves such a transaction: its COMMIT may still be under way."""
    file = new_file()
    other = await Pausing(databases, tenant, partial(add_document, file=file)).reach()
    asking = asyncio.create_task(
        databases.writing(tenant.scope(), partial(files.is_kept, file=file))
    )
    await until(lambda: is_waiting(databases, tenant))
    assert not asking.done()
    await other.end(commits=commits)
    assert await asking is commits


@pytest.mark.parametrize("commits", [True, False], ids=["commit", "rollback"])
async def test_asking_waits_for_who_is_about_to_drop_them(
    databases: Databases, tenant: TestTenant, commits: bool
) -> None:
    file = new_file()
    document_id = await databases.writing(tenant.scope(), partial(add_document, file=file))
    other = await Pausing(databases, tenant, partial(erase, document_id=document_id)).reach()
    asking = asyncio.create_task(
        databases.writing(tenant.scope(), partial(files.is_kept, file=file))
    )
    await until(lambda: is_waiting(databases, tenant))
    await other.end(commits=commits)
    assert await asking is not commits


async def test_who_erases_waits_for_who_has_pinned(
    databases: Databases, tenant: TestTenant
) -> None:
    """And then sees the document that came meanwhile, and keeps the file."""
    file = new_file()
    document_id = await databases.writing(tenant.scope(), partial(add_document, file=file))
    other = await Pausing(databases, tenant, partial(add_document, file=new_file())).reach()
    erasing = asyncio.create_task(
        databases.writing(tenant.scope(), partial(erase, document_id=document_id))
    )
    await until(lambda: is_waiting(databases, tenant))
    await other.end(commits=True)
    await erasing
    assert await databases.writing(tenant.scope(), partial(files.is_kept, file=file)) is True


async def test_who_uploads_waits_for_who_erases_and_then_keeps_its_own(
    databases: Databases, tenant: TestTenant
) -> None:
    file, again = new_file(), new_file()
    document_id = await databases.writing(tenant.scope(), partial(add_document, file=file))
    other = await Pausing(databases, tenant, partial(erase, document_id=document_id)).reach()
    uploading = asyncio.create_task(
        databases.writing(tenant.scope(), partial(files.adopt, file=again))
    )
    await until(lambda: is_waiting(databases, tenant))
    await other.end(commits=True)
    assert await uploading == again


async def test_a_file_that_is_being_erased_cannot_be_pinned(
    databases: Databases, tenant: TestTenant
) -> None:
    file = new_file()
    document_id = await databases.writing(tenant.scope(), partial(add_document, file=file))
    other = await Pausing(databases, tenant, partial(erase, document_id=document_id)).reach()
    pinning = asyncio.create_task(
        databases.writing(tenant.scope(), partial(files.pin, file_id=file.id))
    )
    await until(lambda: is_waiting(databases, tenant))
    await other.end(commits=True)
    assert await pinning is None
