"""A file that is renamed here and deleted there, whose bytes the object store has lost."""

from uuid import UUID

from fixtures.collecting import keys, two_days_pass
from fixtures.mirrors import texts
from fixtures.service import TestTenant
from fixtures.uploads import upload
from simulation.device import Device
from syncapi.server.postgres.databases import Databases
from syncapi.server.storage.s3 import ObjectStore


async def test_the_folder_sends_its_bytes_again(
    tenant: TestTenant,
    laptop: Device,
    desktop: Device,
    databases: Databases,
    store: ObjectStore,
) -> None:
    document = UUID((await upload(tenant.user, b"report", "report.txt"))["id"])
    await laptop.sync_calmly()
    (laptop.root / "report.txt").rename(laptop.root / "mine.txt")
    assert (await tenant.admin.delete(f"/documents/{document}")).status_code == 200
    await two_days_pass(databases, tenant)
    await store.delete_many(list(await keys(store, tenant)))

    await laptop.sync_calmly()
    await desktop.sync_calmly()

    assert texts(laptop) == texts(desktop) == {"mine.txt": "report"}
