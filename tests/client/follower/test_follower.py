"""What pulls, submits and learns of losses, whoever stands on it."""

from uuid import UUID

import pytest

from fixtures.failovers import Failover
from fixtures.replicas import Device, MakeDevice
from fixtures.service import TestTenant
from fixtures.uploads import upload
from syncapi.client.errors import StoreBusy
from syncapi.client.folder.observe.lost_versions import LostVersions
from syncapi.client.follower.follower import Follower
from syncapi.client.follower.pulled import Pulled
from syncapi.client.store.lock import ReplicaLock
from syncapi.protocol.push import CreateChange, DeleteChange, PushedChange, UpdateChange


def _follower(device: Device) -> Follower:
    return Follower(device.client, device.store, LostVersions(device.store))


async def test_submit_is_by_batches(tenant: TestTenant, make_device: MakeDevice) -> None:
    """Each document once a batch, in its own order, bad ones alone."""
    file = UUID((await upload(tenant.user, b"content"))["file"]["id"])
    device = make_device(tenant)
    follower = _follower(device)
    await follower.pull(Pulled())
    changes: list[PushedChange] = []
    for number in range(510):
        id_ = device.make_id()
        changes.append(
            CreateChange(
                op="create",
                change_id=device.make_id(),
                id=id_,
                filename=f"{number}.txt",
                mime_type="text/plain",
                file_id=file,
            )
        )
    first = changes[0]
    changes[3] = changes[3].model_copy(update={"filename": "a/b"})  # no document can have it
    never = first.model_copy(update={"change_id": device.make_id(), "filename": "other.txt"})
    results = await follower.submit([*changes, never])
    assert [r.status for r in results[:3]] == ["applied"] * 3
    assert (results[3].status, results[3].problem and results[3].problem.code) == (
        "rejected",
        "not_applied",
    )
    assert {r.status for r in results[4:-1]} == {"applied"}
    assert (results[-1].id, results[-1].status) == (first.id, "conflict")
    assert [r.change_id for r in results] == [c.change_id for c in [*changes, never]]
    held = {document.id: document for document in follower.documents()}
    assert len(held) == 510
    document = results[0].document
    assert document == held[first.id]
    assert document is not None
    base = document.updated_at
    update = UpdateChange(
        op="update",
        change_id=device.make_id(),
        id=first.id,
        base_updated_at=base.isoformat(),
        filename="renamed.txt",
    )
    delete = DeleteChange(
        op="delete",
        change_id=device.make_id(),
        id=changes[1].id,
        base_updated_at=base.isoformat(),
    )
    await follower.submit([update, delete])
    held = {document.id: document for document in follower.documents()}
    assert held[first.id].filename == "renamed.txt"
    assert delete.id not in held
    await follower.pull(pulled := Pulled())
    assert (pulled.added, pulled.modified, pulled.deleted) == ({}, {}, set())


async def test_a_run_brings_urls_of_its_contents_and_fetches_none(
    tenant: TestTenant, make_device: MakeDevice
) -> None:
    document = await upload(tenant.user, b"content")
    device = make_device(tenant)
    follower = _follower(device)
    await follower.pull(Pulled())
    (held,) = follower.documents()
    assert str(held.id) == document["id"]
    assert set(follower.urls) == {held.id}
    assert device.storage.seen == []
    await follower.pull(Pulled())
    assert follower.urls == {}


async def test_what_was_lost_is_noted_for_who_holds_the_bytes(
    failover: Failover, make_device: MakeDevice
) -> None:
    writer = make_device(failover.account)
    reader = make_device(failover.account)
    follower = _follower(reader)
    old, kept = (writer.replica.create(f"{n}.txt", f"{n}".encode()).id for n in range(2))
    await writer.replica.sync()
    failover.fork()
    writer.replica.update(old, content=b"lost")
    made = writer.replica.create("made.txt", b"made").id
    await writer.replica.sync()
    await follower.pull(Pulled())
    held = {document.id: document.updated_at for document in follower.documents()}
    failover.take_over(reader)
    follower = _follower(reader)
    await follower.pull(pulled := Pulled())
    assert pulled.resynced == "history_lost"
    assert {document.id for document in follower.documents()} == {old, kept}
    assert follower.lost() == {old: held[old], made: held[made]}
    reader.reopen()
    follower = _follower(reader)
    follower.settle_lost([old])
    assert set(follower.lost()) == {made}
    await follower.pull(pulled := Pulled())
    assert pulled.resynced == "no"
    assert set(follower.lost()) == {made}


async def test_one_run_at_a_time_over_all_processes(
    tenant: TestTenant, make_device: MakeDevice
) -> None:
    device = make_device(tenant)
    follower = _follower(device)
    with ReplicaLock(device.folder):
        with pytest.raises(StoreBusy):
            await follower.submit([])
        with pytest.raises(StoreBusy):
            await follower.pull(Pulled())
    with follower.exclusively():
        await follower.pull(Pulled())  # it is one's own
