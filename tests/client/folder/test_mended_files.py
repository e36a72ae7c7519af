"""A document gets a new version where only its file's row was mended: nobody has written it."""

from uuid import UUID

import pytest

from fixtures.mirrors import note_paths, texts, write
from fixtures.service import TestTenant
from fixtures.uploads import upload
from fixtures.writing import MakeWriter
from simulation.device import Device
from syncapi.client.errors import SafetyStop


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


async def test_one_history_is_enough_where_the_folder_is_empty(
    tenant: TestTenant,
    laptop: Device,
    make_writer: MakeWriter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever the others show, nothing is deleted."""
    names = {f"{number}" for number in range(30)}
    for name in names:
        write(laptop, name, name)
    await laptop.sync_calmly()
    for name in names:
        (laptop.root / name).unlink()
    await (await make_writer(tenant.id)).mend_md5()
    asked = note_paths(laptop, monkeypatch)
    for _ in range(2):
        async with laptop.opened() as mirror:
            with pytest.raises(SafetyStop, match="The folder is empty"):
                await mirror.sync()
        assert sum(path.endswith("/history") for path in asked) <= 2
    assert (await laptop.sync_calmly()).counts == {"delete": len(names)}


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
