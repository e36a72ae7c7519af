"""A document gets a new version where only its file's row was mended: nobody has written it."""

from uuid import UUID

from fixtures.mirrors import texts
from fixtures.service import TestTenant
from fixtures.uploads import upload
from fixtures.writing import MakeWriter
from simulation.device import Device


async def test_a_file_is_deleted_though_its_md5_was_mended_meanwhile(
    tenant: TestTenant, laptop: Device, make_writer: MakeWriter
) -> None:
    await upload(tenant.user, b"report", "report.txt")
    await laptop.sync_calmly()
    (laptop.root / "report.txt").unlink()
    await (await make_writer(tenant.id)).mend_md5()

    assert (await laptop.sync_calmly()).counts == {"delete": 1}

    assert texts(laptop) == {}
    assert (await tenant.user.get("/documents")).json()["data"]["documents"] == []


async def test_a_file_comes_back_if_somebody_restored_it_before_its_md5_was_mended(
    tenant: TestTenant, laptop: Device, make_writer: MakeWriter
) -> None:
    document = UUID((await upload(tenant.user, b"report", "report.txt"))["id"])
    await laptop.sync_calmly()
    (laptop.root / "report.txt").unlink()
    assert (await tenant.admin.delete(f"/documents/{document}")).status_code == 200
    restored = await tenant.admin.post(f"/documents/{document}/restore", json={})
    assert restored.status_code == 200
    await (await make_writer(tenant.id)).mend_md5()

    assert (await laptop.sync_calmly()).counts == {"download": 1}
    assert texts(laptop) == {"report.txt": "report"}
