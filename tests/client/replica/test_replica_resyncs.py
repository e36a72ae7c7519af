"""410: deletions were forgotten. Only what differs moves, and edits of one's own stay."""

from uuid import UUID

import pytest

from fixtures.replicas import Device, MakeDevice
from fixtures.service import TestTenant
from fixtures.uploads import upload
from fixtures.writing import MakeWriter, SqlWriter
from syncapi.client.errors import Unreachable
from syncapi.client.follower.machine import Phase


async def put(tenant: TestTenant, *names: str) -> dict[str, UUID]:
    return {n: UUID((await upload(tenant.user, n.encode(), f"{n}.txt"))["id"]) for n in names}


async def forget(tenant: TestTenant, writer: SqlWriter, *documents: UUID) -> None:
    """Delete them, and collect what tells of it."""
    for document in documents:
        await tenant.admin.delete(f"/documents/{document}")
    await writer.collect_tombstones()


async def test_only_what_differs_is_fetched(
    tenant: TestTenant, make_device: MakeDevice, make_writer: MakeWriter
) -> None:
    writer = await make_writer(tenant.id)
    device = make_device(tenant, per_page=4)
    ids = await put(tenant, *"abcdefgh")
    await device.replica.sync()
    await tenant.user.patch(f"/documents/{ids['b']}", json={"filename": "renamed.txt"})
    await put(tenant, "new")
    await put(tenant, "c")  # the same bytes once more
    await forget(tenant, writer, ids["a"])
    device.line.seen.clear()
    device.storage.seen.clear()

    result = await device.replica.sync()

    assert result.resynced == "tombstones_collected"
    assert sorted(d.filename for d in result.added) == ["c.txt", "new.txt"]
    assert [d.id for d in result.modified] == [ids["b"]]
    assert result.deleted == [ids["a"]]
    assert device.storage.count("GET") == 1
    assert device.line.count("GET", "/download-url") == 1
    assert device.line.count("GET", "/history") == 0
    assert device.line.count("GET", "/documents/sync") == 1 + 3
    fresh = make_device(tenant)
    await fresh.replica.sync()
    assert list(device.replica.remote()) == list(fresh.replica.remote())
    assert (await device.replica.sync()).resynced == "no"


async def test_edits_of_one_s_own_stay(
    tenant: TestTenant, make_device: MakeDevice, make_writer: MakeWriter
) -> None:
    """Of a document that is gone, an edit makes it again, and a deletion has nothing to do."""
    writer = await make_writer(tenant.id)
    device = make_device(tenant)
    ids = await put(tenant, "edited", "deleted", "kept")
    await device.replica.sync()
    device.replica.update(ids["edited"], filename="mine.txt")
    device.replica.delete(ids["deleted"])
    device.replica.create("queued.txt", b"queued")
    await forget(tenant, writer, ids["edited"], ids["deleted"])

    pulled = await device.replica.pull()
    assert pulled.resynced == "tombstones_collected"
    assert device.names() == {"mine.txt": b"edited", "kept.txt": b"kept", "queued.txt": b"queued"}
    result = await device.replica.sync()

    assert [record.outcome for record in result.conflicts] == ["mine"]
    other = make_device(tenant)
    await other.replica.sync()
    assert other.names() == device.names()
    assert device.replica.pending() == []


async def test_what_is_pushed_while_it_resyncs_stays(
    tenant: TestTenant, make_device: MakeDevice, make_writer: MakeWriter
) -> None:
    """It was cut short after its first page, and pushes before it goes on."""
    writer = await make_writer(tenant.id)
    device = make_device(tenant, per_page=2)
    ids = await put(tenant, *"abcde")
    await device.replica.sync()
    await forget(tenant, writer, ids["e"])
    await cut_short(device, after=2)  # the 410, and a page
    assert device.replica._follower._tables.machine.phase is Phase.RESYNCING
    new = device.replica.create("new.txt", b"new").id
    held = {document.filename: document.id for document in device.replica.documents()}
    for name in "ab":  # one of which is in the first page
        device.replica.delete(held[f"{name}.txt"])
    device.replica.update(held["c.txt"], content=b"changed")
    result = await device.replica.sync()
    assert result.resynced == "tombstones_collected"
    assert device.names() == {"c.txt": b"changed", "d.txt": b"d", "new.txt": b"new"}
    assert device.replica.document(new) is not None
    await device.replica.sync()
    fresh = make_device(tenant)
    await fresh.replica.sync()
    assert list(fresh.replica.remote()) == list(device.replica.remote())


async def cut_short(device: Device, *, after: int) -> None:
    """Lose the service after some answers, and end there."""
    answers = 0

    def loses(_request: object) -> bool:
        nonlocal answers
        answers += 1
        return answers > after

    device.line.loses = loses
    with pytest.raises(Unreachable):
        await device.replica.pull()
    device.line.loses = lambda _request: False
    device.reopen()


async def test_a_resync_that_expires_itself(
    tenant: TestTenant, make_device: MakeDevice, make_writer: MakeWriter
) -> None:
    writer = await make_writer(tenant.id)
    device = make_device(tenant, per_page=1)
    ids = await put(tenant, *"abcd")
    await device.replica.sync()
    await forget(tenant, writer, ids["a"])
    await cut_short(device, after=2)  # the 410, and a page
    assert device.replica._follower._tables.machine.phase is Phase.RESYNCING
    await writer.connection.execute("SELECT feed.void_cursors()")
    result = await device.replica.sync()
    assert result.resynced != "no"
    assert device.names() == {f"{name}.txt": name.encode() for name in "bcd"}


async def test_the_cursor_of_another_key(tenant: TestTenant, make_device: MakeDevice) -> None:
    """The service signs with a new key: it is as good as a 410."""
    device = make_device(tenant)
    ids = await put(tenant, *"ab")
    await device.replica.sync()
    await tenant.admin.delete(f"/documents/{ids['a']}")
    machine = device.replica._follower._tables.machine
    assert machine.cursor is not None
    altered = machine.cursor[:-4] + ("AAAA" if machine.cursor[-4:] != "AAAA" else "BBBB")
    device.replica._follower._tables.keep(type(machine)(machine.phase, altered))
    result = await device.replica.sync()
    assert (result.resynced, result.deleted) == ("tombstones_collected", [ids["a"]])
    assert device.names() == {"b.txt": b"b"}


async def test_a_first_run_that_expires(
    tenant: TestTenant, make_device: MakeDevice, make_writer: MakeWriter
) -> None:
    device = make_device(tenant, per_page=2)
    await put(tenant, *"abcd")
    await cut_short(device, after=1)
    assert device.replica.cursor is None
    writer = await make_writer(tenant.id)
    await writer.connection.execute("SELECT feed.void_cursors()")
    await device.replica.sync()
    assert device.names() == {f"{name}.txt": name.encode() for name in "abcd"}


async def test_what_was_pushed_and_deleted_before_the_first_run(
    tenant: TestTenant, make_device: MakeDevice
) -> None:
    """A first run tells of no deletions."""
    device = make_device(tenant)
    made = device.replica.create("a.txt", b"a").id
    await device.replica.push()
    await tenant.admin.delete(f"/documents/{made}")
    result = await device.replica.sync()
    assert (result.deleted, device.names()) == ([made], {})
