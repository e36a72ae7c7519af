"""A document gets a new version where only its file's row was mended: nobody has written it."""

from collections.abc import Callable
from uuid import UUID

import pytest

from fixtures.replicas import Device, MakeDevice
from fixtures.service import TestTenant
from fixtures.uploads import upload
from fixtures.writing import MakeWriter
from syncapi.client.replica.replica import Replica


def delete(replica: Replica, document: UUID) -> None:
    replica.delete(document)


def rename(replica: Replica, document: UUID) -> None:
    replica.update(document, filename="mine.txt")


def rewrite(replica: Replica, document: UUID) -> None:
    replica.update(document, content=b"mine")


@pytest.mark.parametrize("pulls", [False, True])
@pytest.mark.parametrize(
    ("change", "names"),
    [
        (delete, {}),
        (rename, {"mine.txt": b"report"}),
        (rewrite, {"report.txt": b"mine"}),
    ],
)
async def test_a_change_meets_no_conflict_and_the_server_has_lost_nothing(
    tenant: TestTenant,
    make_device: MakeDevice,
    make_writer: MakeWriter,
    change: Callable[[Replica, UUID], None],
    names: dict[str, bytes],
    pulls: bool,
) -> None:
    document = UUID((await upload(tenant.user, b"report", "report.txt"))["id"])
    device, other = make_device(tenant), make_device(tenant)
    await device.replica.sync()
    change(device.replica, document)
    await (await make_writer(tenant.id)).mend_md5()
    if pulls:
        await device.replica.pull()

    result = await device.replica.push()

    assert [one.status for one in result.pushed] == ["applied"]
    assert (result.conflicts, result.errors, device.replica.settled()) == ([], [], [])
    await assert_in_step(device, other, names)


async def assert_in_step(device: Device, other: Device, names: dict[str, bytes]) -> None:
    result = await device.replica.sync()
    assert (result.pushed, result.conflicts, result.resynced) == ([], [], "no")
    await other.replica.sync()
    assert device.names() == other.names() == names
