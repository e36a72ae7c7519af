"""A document whose hash can be none is not fetched, and stops no other file of the folder."""

from uuid import UUID

import pytest

from fixtures.mirrors import texts, write
from fixtures.service import TestTenant
from fixtures.strange import before_the_rules, give_sha256
from fixtures.uploads import upload
from fixtures.writing import MakeWriter
from simulation.device import Device


@pytest.mark.parametrize("sha256", ["/" * 64, "\U0001f600" * 64, "a/" * 32, "A" * 64])
async def test_the_others_are_kept_in_step(
    tenant: TestTenant, laptop: Device, make_writer: MakeWriter, sha256: str
) -> None:
    odd = await upload(tenant.user, b"odd", "odd.txt")
    await upload(tenant.user, b"plain", "plain.txt")
    writer = await make_writer(tenant.id)
    await give_sha256(writer.connection, UUID(odd["file"]["id"]), sha256)
    write(laptop, "mine.txt", "mine")
    report = await laptop.sync_calmly()
    (failure,) = report.failures
    assert failure.path == "odd.txt"
    assert "hashes" in failure.why
    assert texts(laptop) == {"plain.txt": "plain", "mine.txt": "mine"}
    assert report.counts == {"create": 1, "download": 1}


@pytest.mark.parametrize("md5", ["'/'", "upper(md5_hash)"])
async def test_a_document_of_another_md5_is_in_step(
    tenant: TestTenant, laptop: Device, make_writer: MakeWriter, md5: str
) -> None:
    odd = await upload(tenant.user, b"odd", "odd.txt")
    writer = await make_writer(tenant.id)
    async with before_the_rules(writer.connection):
        await writer.connection.execute(
            f"UPDATE files SET md5_hash = {md5} WHERE id = $1", UUID(odd["file"]["id"])
        )
    assert (await laptop.sync_calmly()).failures == []
    assert texts(laptop) == {"odd.txt": "odd"}
    write(laptop, "odd.txt", "mine")
    assert (await laptop.sync_calmly()).failures == []
    write(laptop, "again.txt", "odd")
    assert (await laptop.sync_calmly()).failures == []
    state = (await tenant.user.get(f"/files/{odd['file']['id']}")).json()["data"]
    assert state["file"] == odd["file"]


async def test_a_file_stays_when_its_document_gets_such_a_hash(
    tenant: TestTenant, laptop: Device, make_writer: MakeWriter
) -> None:
    odd = await upload(tenant.user, b"odd", "odd.txt")
    await laptop.sync_calmly()
    writer = await make_writer(tenant.id)
    await give_sha256(writer.connection, UUID(odd["file"]["id"]), "/" * 64)
    assert [failure.path for failure in (await laptop.sync_calmly()).failures] == ["odd.txt"]
    assert texts(laptop) == {"odd.txt": "odd"}
