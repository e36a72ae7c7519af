"""Push, pull and both: what one device makes another one sees."""

from itertools import count
from uuid import UUID

import httpx
import pytest

from fixtures.replicas import Device, MakeDevice
from fixtures.service import TestTenant
from fixtures.uploads import upload
from syncapi.client.errors import SyncError, Unreachable
from syncapi.server.domain.access import Role


@pytest.fixture
def devices(tenant: TestTenant, make_device: MakeDevice) -> tuple[Device, Device]:
    return make_device(tenant), make_device(tenant)


async def test_what_one_makes_the_other_has(devices: tuple[Device, Device]) -> None:
    one, other = devices
    made = one.replica.create("a.txt", b"first", folder="notes/2026")
    assert one.names() == {"a.txt": b"first"}
    pushed = await one.replica.sync()
    assert [result.status for result in pushed.pushed] == ["applied"]
    assert (pushed.added, pushed.modified, one.replica.pending()) == ([], [], [])

    pulled = await other.replica.sync()

    assert [document.id for document in pulled.added] == [made.id]
    assert other.names() == {"a.txt": b"first"}
    assert pulled.added[0].folder == "notes/2026"
    assert one.replica.documents() == other.replica.documents()
    assert one.storage.count("GET") == 0, "it has what it has made"


async def test_updates_and_deletions(devices: tuple[Device, Device]) -> None:
    one, other = devices
    a, b = one.replica.create("a.txt", b"a"), one.replica.create("b.txt", b"b")
    await one.replica.sync()
    await other.replica.sync()
    other.replica.update(a.id, filename="renamed.txt", content=b"changed")
    other.replica.delete(b.id)
    assert other.names() == {"renamed.txt": b"changed"}
    result = await other.replica.sync()
    assert {r.status for r in result.pushed} == {"applied"}

    seen = await one.replica.sync()

    assert ([d.id for d in seen.modified], seen.deleted, seen.added) == ([a.id], [b.id], [])
    assert one.names() == {"renamed.txt": b"changed"}
    assert list(one.store.blobs.digests()) == list(other.store.blobs.digests())
    assert len(list(one.store.blobs.digests())) == 1, "what nothing refers to is gone"


async def test_nothing_to_do_is_one_request(devices: tuple[Device, Device]) -> None:
    one, _ = devices
    one.replica.create("a.txt", b"a")
    await one.replica.sync()
    await one.replica.sync()
    one.line.seen.clear()
    result = await one.replica.sync()
    assert (result.added, result.modified, result.pushed, result.errors) == ([], [], [], [])
    assert len(one.line.seen) == 1


async def test_pull_leaves_the_queue_and_push_leaves_the_feed(
    devices: tuple[Device, Device],
) -> None:
    one, other = devices
    one.replica.create("one.txt", b"1")
    other.replica.create("other.txt", b"2")
    await one.replica.push()
    pulled = await other.replica.pull()
    assert [d.filename for d in pulled.added] == ["one.txt"]
    assert [c.filename for c in other.replica.pending()] == ["other.txt"]
    pushed = await other.replica.push()
    assert (len(pushed.pushed), pushed.added) == (1, [])
    assert one.names() == {"one.txt": b"1"}
    await one.replica.pull()
    assert one.names() == other.names() == {"one.txt": b"1", "other.txt": b"2"}


async def test_more_documents_than_a_page_and_a_batch(
    tenant: TestTenant, make_device: MakeDevice
) -> None:
    """Equal bytes are moved once, up and down."""
    one, other = make_device(tenant), make_device(tenant, per_page=100)
    for number in range(620):
        one.replica.create(f"{number}.txt", f"{number % 7}".encode())
    await one.replica.sync()
    assert one.line.count("POST", "/documents/sync") == 2
    assert one.storage.count("PUT") == 7
    result = await other.replica.sync()
    assert len(result.added) == 620
    assert (other.line.count("GET", "/documents/sync"), other.storage.count("GET")) == (7, 7)
    assert other.line.count("GET", "/download-url") == 0
    assert one.replica.documents() == other.replica.documents()


async def test_after_a_run_that_was_cut_short_there_is_all_that_came_since(
    tenant: TestTenant, make_device: MakeDevice
) -> None:
    """To go on with that run alone would end where the feed ended when it began."""
    one, other = make_device(tenant), make_device(tenant, per_page=1)
    one.replica.create("a.txt", b"a")
    one.replica.create("b.txt", b"b")
    await one.replica.sync()
    pages = count()
    other.line.loses = lambda request: pulls(request) and next(pages) > 0
    with pytest.raises(Unreachable):
        await other.replica.sync()
    assert len(other.replica.documents()) == 1
    one.replica.create("c.txt", b"c")
    await one.replica.sync()
    other.line.loses = lambda _request: False

    await other.replica.sync()

    assert other.names() == one.names()


def pulls(request: httpx.Request) -> bool:
    return request.method == "GET" and request.url.path.endswith("/documents/sync")


async def test_what_cannot_be_named_is_refused_at_once(
    tenant: TestTenant, make_device: MakeDevice
) -> None:
    replica = make_device(tenant).replica
    for name, folder, kind in [
        ("a/b.txt", "", None),
        ("a.txt", "a//b", None),
        ("a.txt", "/a", None),
        ("a.txt", "..", None),
        ("a.txt", "", "text"),
        ("a.txt", "a/" * 501 + "b", None),
    ]:
        with pytest.raises(SyncError):
            replica.create(name, b"", folder=folder, mime_type=kind)
    made = replica.create("a.txt", b"")
    with pytest.raises(SyncError):
        replica.update(made.id, filename="..")
    with pytest.raises(SyncError):
        replica.create("a.txt", b"", id=made.id)
    with pytest.raises(SyncError, match="no document"):
        replica.update(UUID(int=7), filename="b.txt")
    with pytest.raises(SyncError, match="no document"):
        replica.delete(UUID(int=7))
    assert len(replica.pending()) == 1


async def test_a_viewer_reads_and_keeps_what_it_may_not_push(
    tenant: TestTenant, make_device: MakeDevice
) -> None:
    await upload(tenant.user, b"content", "there.txt")
    device = make_device(tenant, role=Role.VIEWER)
    device.replica.create("mine.txt", b"mine")
    result = await device.replica.sync()
    assert [error.code for error in result.errors] == ["forbidden"]
    assert device.names() == {"mine.txt": b"mine", "there.txt": b"content"}
    assert len(device.replica.pending()) == 1


async def test_folding_before_it_is_sent(devices: tuple[Device, Device]) -> None:
    one, other = devices
    made = one.replica.create("a.txt", b"1")
    one.replica.update(made.id, filename="b.txt")
    one.replica.update(made.id, content=b"2")
    gone = one.replica.create("gone.txt", b"gone")
    one.replica.delete(gone.id)
    result = await one.replica.sync()
    assert [r.status for r in result.pushed] == ["applied"]
    one.replica.update(made.id, filename="c.txt")
    one.replica.update(made.id, filename="b.txt")
    assert one.replica.pending() == [], "back where it was"
    one.replica.delete(made.id)
    again = one.replica.create("again.txt", b"3", id=made.id)
    result = await one.replica.sync()
    assert [r.status for r in result.pushed] == ["applied"]
    await other.replica.sync()
    assert other.names() == {"again.txt": b"3"}
    assert other.replica.documents()[0].id == again.id
