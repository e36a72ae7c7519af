"""Answers that are lost, documents that fail, and one run at a time."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from uuid import UUID

import httpx
import pytest

from fixtures.collecting import keys
from fixtures.replicas import Device, MakeDevice
from fixtures.service import TestTenant
from fixtures.uploads import Json, upload
from syncapi.client.errors import StoreBusy, Unreachable
from syncapi.client.replica.conflicts import manual
from syncapi.client.store.keys import PassphraseKey
from syncapi.server.domain.access import Role
from syncapi.server.storage.bucket import Bucket
from syncapi.server.storage.s3 import ObjectStore


@pytest.fixture
async def objects(bucket: Bucket) -> AsyncIterator[ObjectStore]:
    async with ObjectStore(bucket) as objects:
        yield objects


def loses_pushes(request: httpx.Request) -> bool:
    return request.method == "POST" and request.url.path.endswith("/documents/sync")


def loses_nothing(_request: httpx.Request) -> bool:
    return False


async def lose_the_answer(device: Device) -> None:
    """Push, and never hear of it; then start anew."""
    device.line.loses = loses_pushes
    with pytest.raises(Unreachable):
        await device.replica.sync()
    device.line.loses = loses_nothing
    device.reopen()


async def test_a_lost_answer_is_asked_for_again(
    tenant: TestTenant, make_device: MakeDevice
) -> None:
    device, other = make_device(tenant), make_device(tenant)
    updated = device.replica.create("updated.txt", b"1").id
    deleted = device.replica.create("deleted.txt", b"1").id
    await device.replica.sync()
    device.replica.create("made.txt", b"made")
    device.replica.update(updated, content=b"2")
    device.replica.delete(deleted)
    await lose_the_answer(device)
    result = await device.replica.sync()
    assert [r.status for r in result.pushed] == ["unchanged"] * 3
    await other.replica.sync()
    assert device.names() == other.names() == {"updated.txt": b"2", "made.txt": b"made"}
    assert result.conflicts == []


async def test_what_is_changed_after_a_lost_answer_waits(
    tenant: TestTenant, make_device: MakeDevice
) -> None:
    device, other = make_device(tenant), make_device(tenant)
    document = device.replica.create("a.txt", b"1").id
    gone = device.replica.create("gone.txt", b"gone").id
    back = device.replica.create("back.txt", b"1").id
    await device.replica.sync()
    device.replica.update(document, content=b"2")
    made = device.replica.create("made.txt", b"1").id
    device.replica.update(gone, filename="gone 2.txt")
    device.replica.delete(back)
    await lose_the_answer(device)
    device.replica.update(document, filename="b.txt")
    device.replica.update(document, content=b"3")
    device.replica.update(made, content=b"2")
    device.replica.delete(gone)
    device.replica.create("back.txt", b"2", id=back)
    assert device.names() == {"b.txt": b"3", "made.txt": b"2", "back.txt": b"2"}
    assert len(device.replica.pending()) == 8
    result = await device.replica.sync()
    assert sorted(r.status for r in result.pushed) == ["applied"] * 4 + ["unchanged"] * 4
    await other.replica.sync()
    assert device.names() == other.names() == {"b.txt": b"3", "made.txt": b"2", "back.txt": b"2"}


@pytest.mark.parametrize("is_new", [False, True])
async def test_others_came_between_a_lost_answer_and_the_next_change(
    tenant: TestTenant, make_device: MakeDevice, *, is_new: bool
) -> None:
    """The next change is of the version that the lost one made: theirs is a conflict, not gone."""
    device, other = make_device(tenant, strategy=manual), make_device(tenant)
    document = device.replica.create("a.txt", b"1").id
    if not is_new:
        await device.replica.sync()
        device.replica.update(document, content=b"2")
    await lose_the_answer(device)
    await other.replica.sync()
    other.replica.update(document, content=b"theirs")
    await other.replica.sync()
    device.replica.update(document, content=b"mine")
    result = await device.replica.sync()
    assert [r.status for r in result.pushed] == ["unchanged", "conflict"]
    (conflict,) = device.replica.conflicts()
    assert conflict.base is not None
    assert (conflict.base.file.file_size, conflict.fields) == (1, ("content",))
    assert device.bytes_of(document) == b"mine"
    device.replica.resolve(document, "both")
    await device.replica.sync()
    await other.replica.sync()
    assert sorted(map(str, other.names().values())) == ["b'mine'", "b'theirs'"]


async def test_another_merged_a_name_into_it_meanwhile(
    tenant: TestTenant, make_device: MakeDevice
) -> None:
    device, other = make_device(tenant), make_device(tenant)
    document = device.replica.create("a.txt", b"1").id
    await lose_the_answer(device)
    await other.replica.sync()
    other.replica.update(document, filename="theirs.txt")
    await other.replica.sync()
    device.replica.update(document, content=b"2")
    result = await device.replica.sync()
    assert [record.outcome for record in result.conflicts] == ["merged"]
    assert device.names() == {"theirs.txt": b"2"}


async def upload_and_lose(
    objects: ObjectStore, tenant: TestTenant, content: bytes, name: str
) -> tuple[Json, str]:
    """A document whose bytes are gone from the object store, and their key."""
    before = await keys(objects, tenant)
    document = await upload(tenant.user, content, name)
    (key,) = await keys(objects, tenant) - before
    await objects._call("delete_object", Key=key)
    return document, key


async def test_a_lost_object_stops_no_other(
    tenant: TestTenant, make_device: MakeDevice, objects: ObjectStore
) -> None:
    """Its bytes are gone from the object store; they come back, and so does the document."""
    for number in (0, 2):
        await upload(tenant.user, f"{number}".encode(), f"{number}.txt")
    lost, key = await upload_and_lose(objects, tenant, b"1", "1.txt")
    device = make_device(tenant)
    result = await device.replica.sync()
    assert len(result.added) == 3
    (error,) = result.errors
    assert (str(error.id), error.what) == (lost["id"], "download")
    assert (error.code, error.attempts) == ("content_missing", 1)
    assert device.names() == {"0.txt": b"0", "1.txt": None, "2.txt": b"2"}
    device.reopen()
    result = await device.replica.sync()
    assert [e.attempts for e in result.errors] == [2]
    assert device.replica.failures() == result.errors
    await objects._call("put_object", Key=key, Body=b"1")
    result = await device.replica.sync()
    assert (result.errors, device.replica.failures()) == ([], [])
    assert device.names()["1.txt"] == b"1"


async def test_a_failure_ends_with_its_document(
    tenant: TestTenant, make_device: MakeDevice, objects: ObjectStore
) -> None:
    document, _ = await upload_and_lose(objects, tenant, b"lost", "lost.txt")
    device = make_device(tenant)
    assert len((await device.replica.sync()).errors) == 1
    await tenant.admin.delete(f"/documents/{document['id']}")
    assert (await device.replica.sync()).errors == []
    assert device.replica.failures() == []


async def test_a_refused_change_stops_no_other(
    tenant: TestTenant, make_device: MakeDevice
) -> None:
    """A plain user may not delete. What is refused is tried again, and can be given up."""
    documents = [await upload(tenant.user, f"{n}".encode(), f"{n}.txt") for n in range(3)]
    device = make_device(tenant, role=Role.USER)
    await device.replica.sync()
    refused, given_up = (UUID(document["id"]) for document in documents[:2])
    device.replica.delete(refused)
    device.replica.delete(given_up)
    device.replica.create("made.txt", b"made")
    result = await device.replica.sync()
    assert sorted(r.status for r in result.pushed) == ["applied", "rejected", "rejected"]
    assert {(e.id, e.what, e.code) for e in result.errors} == {
        (refused, "push", "forbidden"),
        (given_up, "push", "forbidden"),
    }
    assert set(device.names()) == {"2.txt", "made.txt"}
    device.replica.revert(given_up)
    assert [failure.id for failure in device.replica.failures()] == [refused]
    result = await device.replica.sync()
    assert [(e.id, e.attempts) for e in result.errors] == [(refused, 2)]
    admin = tenant.tokens[Role.ADMIN]
    device.account = type(device.account)(device.account.url, tenant.id, admin)
    device.reopen()
    result = await device.replica.sync()
    assert (result.errors, device.replica.failures()) == ([], [])
    assert set(device.names()) == {"1.txt", "2.txt", "made.txt"}


async def test_a_change_after_a_refused_one_is_folded_with_it(
    tenant: TestTenant, make_device: MakeDevice
) -> None:
    document = await upload(tenant.user, b"content")
    device = make_device(tenant, role=Role.USER)
    await device.replica.sync()
    device.replica.delete(UUID(document["id"]))
    await device.replica.sync()
    device.replica.create("again.txt", b"again", id=UUID(document["id"]))
    result = await device.replica.sync()
    assert [r.status for r in result.pushed] == ["applied"]
    assert (result.errors, device.names()) == ([], {"again.txt": b"again"})


async def test_content_that_went_missing_here_stops_no_other(
    tenant: TestTenant, make_device: MakeDevice
) -> None:
    device = make_device(tenant)
    broken = device.replica.create("broken.txt", b"broken")
    device.replica.create("whole.txt", b"whole")
    device.store.blobs.remove(broken.file.sha256_hash)
    result = await device.replica.sync()
    assert [(error.id, error.what) for error in result.errors] == [(broken.id, "upload")]
    assert [document.filename for document in device.replica.remote()] == ["whole.txt"]


async def test_one_run_at_a_time(tenant: TestTenant, make_device: MakeDevice) -> None:
    device = make_device(tenant)
    with device.replica.exclusively():
        await device.replica.sync()  # it is one's own
        with pytest.raises(StoreBusy, match=str(os.getpid())):
            await asyncio.create_task(_as_another(device))
    await device.replica.sync()


async def _as_another(device: Device) -> None:
    """A task that does not belong to the one that holds the lock."""
    other = type(device.replica)(device.client, device.store)
    await other.sync()


HOLD = """
import sys, time
from pathlib import Path
from syncapi.client.follower.exclusion import Exclusion
with Exclusion(Path(sys.argv[1])).held():
    print("held", flush=True)
    time.sleep(600)
"""


async def test_a_killed_process_lets_go(tenant: TestTenant, make_device: MakeDevice) -> None:
    device = make_device(tenant)
    device.replica.create("a.txt", b"a")
    holder = subprocess.Popen(  # noqa: ASYNC220 - it only starts
        [sys.executable, "-c", HOLD, str(device.folder)], stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        for run in (device.replica.sync, device.replica.pull, device.replica.push):
            with pytest.raises(StoreBusy, match=str(holder.pid)):
                await run()
        device.replica.create("b.txt", b"b")  # changing needs no run
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait(30)
        result = await device.replica.sync()
        assert len(result.pushed) == 2
    finally:
        holder.kill()
        holder.wait(30)
        if holder.stdout is not None:
            holder.stdout.close()


async def test_an_encrypted_store(tenant: TestTenant, make_device: MakeDevice) -> None:
    device = make_device(tenant, key=PassphraseKey("correct horse"))
    other = make_device(tenant)
    document = device.replica.create("secret name.txt", b"secret content").id
    await device.replica.sync()
    await other.replica.sync()
    other.replica.update(document, content=b"other secret")
    await other.replica.sync()
    await device.replica.sync()
    device.reopen()
    assert device.names() == other.names() == {"secret name.txt": b"other secret"}
    assert (await device.replica.sync()).errors == []
    device.close()
    written = b"".join(path.read_bytes() for path in device.folder.rglob("*") if path.is_file())
    assert b"secret" not in written
    device.open()


async def test_edits_while_a_run_is_under_way(tenant: TestTenant, make_device: MakeDevice) -> None:
    """Between an upload and its push, and between a push and its answer."""
    device, other = make_device(tenant), make_device(tenant)
    document = device.replica.create("a.txt", b"1").id
    edits = iter([b"2", b"3", b"4", b"5"])

    def edit(request: httpx.Request) -> bool:
        if request.method == "POST" and (content := next(edits, None)) is not None:
            device.replica.update(document, content=content)
        return False

    device.line.loses = edit
    await device.replica.sync()
    assert device.bytes_of(document) == b"5"
    assert device.replica.pending() == []
    await other.replica.sync()
    assert other.names() == {"a.txt": b"5"}
    assert len(list(device.store.blobs.digests())) == 1
