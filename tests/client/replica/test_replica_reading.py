"""Contents that are read, and needless ones that are tidied away, while other things happen."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from fixtures.replicas import Crash, Device, MakeDevice
from fixtures.service import TestTenant
from syncapi.client import durable
from syncapi.client.errors import ContentReplaced, StoreDamaged
from syncapi.client.follower.records import FollowerState
from syncapi.client.replica.records import Tidiness
from syncapi.client.replica.replica import Replica
from syncapi.client.store import blobs
from syncapi.client.store.keys import FileKey
from syncapi.client.store.store import Store
from syncapi.client.transfer.contents import BytesContent

BIG = bytes(range(256)) * 1024


@pytest.mark.parametrize("is_sealed", [False, True], ids=["plain", "sealed"])
@pytest.mark.parametrize("how", ["replaced", "deleted"])
async def test_a_content_that_a_run_takes_away(
    tenant: TestTenant, make_device: MakeDevice, tmp_path: Path, how: str, *, is_sealed: bool
) -> None:
    """What is open stays readable; what is opened later says what has become of it."""
    device = make_device(tenant, key=FileKey(tmp_path / "key") if is_sealed else None)
    document = device.replica.create("a.txt", BIG).id
    await device.replica.sync()
    content = device.replica.content(document)
    assert content is not None
    with content.open() as stream:
        assert stream.read(1000) == BIG[:1000]
        if how == "replaced":
            device.replica.update(document, content=b"other")
        else:
            device.replica.delete(document)
        await device.replica.sync()
        assert len(list(device.store.blobs.digests())) == (1 if how == "replaced" else 0)
        assert stream.read() == BIG[1000:]
    with pytest.raises(ContentReplaced, match="not kept") as caught:
        content.open()
    assert caught.value.hint == "Ask the replica for the document's content again."


async def test_a_content_that_comes_back(tenant: TestTenant, make_device: MakeDevice) -> None:
    device, other = make_device(tenant), make_device(tenant)
    document = device.replica.create("a.txt", BIG).id
    await device.replica.sync()
    content = device.replica.content(document)
    assert content is not None
    device.replica.delete(document)
    await device.replica.sync()
    other.replica.create("b.txt", BIG)
    await other.replica.sync()
    await device.replica.sync()
    with content.open() as stream:
        assert stream.read() == BIG


@pytest.mark.parametrize("damage", ["gone", "shorter"])
async def test_a_content_that_is_damaged(
    tenant: TestTenant, make_device: MakeDevice, damage: str
) -> None:
    device = make_device(tenant)
    document = device.replica.create("a.txt", BIG)
    content = device.replica.content(document.id)
    assert content is not None
    path = device.folder / "blobs" / document.file.sha256_hash
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(BIG[1:])
    with pytest.raises(StoreDamaged):
        content.open()


@pytest.fixture
def removing(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Path], None]], None]:
    """Has something happen right before each file of a store is removed."""

    def before(act: Callable[[Path], None]) -> None:
        real = durable.remove

        def remove(path: Path, *, is_lasting: bool = True) -> None:
            act(path)
            real(path, is_lasting=is_lasting)

        monkeypatch.setattr(durable, "remove", remove)

    return before


Before = Callable[[Callable[[Path], None]], None]


async def with_needless_contents(device: Device, number: int) -> list[bytes]:
    contents = [f"needless {n}".encode() for n in range(number)]
    for content in contents:
        with device.store.blobs.adding(BytesContent(content)):
            pass
    with device.store.transaction():
        device.replica._tables.note_untidy()
    return contents


def is_untidy(device: Device) -> bool:
    state = device.replica._tables.tidiness
    return state.is_untidy or state.is_tidying


async def test_the_store_is_free_while_it_is_tidied(
    tenant: TestTenant, make_device: MakeDevice, removing: Before
) -> None:
    """At each removal somebody else can write to the database, at once."""
    device = make_device(tenant)
    await with_needless_contents(device, 5)
    kept = device.replica.create("kept.txt", b"kept").id
    removed: list[Path] = []
    with Store.open(device.folder) as store:
        other = Replica(device.client, store, make_id=device.make_id, clock=device.clock)

        def write(path: Path) -> None:
            removed.append(path)
            other.update(kept, filename=f"{len(removed)}.txt")

        removing(write)
        await device.replica.sync()
        assert len(removed) == 5
    assert device.names() == {"5.txt": b"kept"}


async def test_a_content_that_comes_to_be_needed_while_it_is_tidied(
    tenant: TestTenant,
    make_device: MakeDevice,
    removing: Before,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another opening writes bytes that were about to go: they stay, or are copied in again."""
    monkeypatch.setattr(blobs, "AT_ONCE", 2)
    device, other = make_device(tenant), make_device(tenant)
    contents = await with_needless_contents(device, 7)
    ended = threading.Event()

    def make_all() -> None:
        with Store.open(device.folder) as store:
            editor = Replica(device.client, store, make_id=device.make_id, clock=device.clock)
            for number, content in enumerate(contents):
                editor.create(f"{number}.txt", content)
        ended.set()

    thread = threading.Thread(target=make_all)
    removing(lambda _path: None if thread.ident else thread.start())
    await device.replica.sync()
    thread.join()
    assert ended.is_set()
    expected = {f"{number}.txt": content for number, content in enumerate(contents)}
    assert device.names() == expected
    await device.replica.sync()
    await other.replica.sync()
    assert other.names() == device.names() == expected
    assert device.store.check() == []


async def test_a_content_that_comes_to_be_needed_between_two_batches(
    tenant: TestTenant, make_device: MakeDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is gone already is copied in again, and what was about to go stays."""
    monkeypatch.setattr(blobs, "AT_ONCE", 2)
    device = make_device(tenant)
    contents = await with_needless_contents(device, 5)
    expected: dict[str, bytes] = {}

    def make_all(_seconds: float) -> None:
        with Store.open(device.folder) as store:
            editor = Replica(device.client, store, make_id=device.make_id, clock=device.clock)
            for content in contents[len(expected) :]:
                name = f"{len(expected)}.txt"
                editor.create(name, content)
                expected[name] = content

    monkeypatch.setattr(blobs, "time", SimpleNamespace(sleep=make_all))
    await device.replica.sync()
    assert len(expected) == len(contents)
    assert device.names() == expected
    assert device.store.check() == []


async def test_what_becomes_needless_while_it_is_tidied_goes_the_next_time(
    tenant: TestTenant, make_device: MakeDevice, removing: Before
) -> None:
    device = make_device(tenant)
    await with_needless_contents(device, 1)
    document = device.replica.create("a.txt", b"1").id
    await device.replica.sync()
    await with_needless_contents(device, 1)
    device.replica.update(document, content=b"2")

    def edit(_path: Path) -> None:
        device.replica.update(document, filename="b.txt")
        device.replica.revert(document)

    removing(edit)
    await device.replica.sync()
    assert is_untidy(device)
    await device.replica.sync()
    assert not is_untidy(device)
    assert len(list(device.store.blobs.digests())) == 1


async def test_tidying_that_was_cut_short_is_gone_on_with(
    tenant: TestTenant, make_device: MakeDevice, removing: Before
) -> None:
    device = make_device(tenant)
    await with_needless_contents(device, 4)
    left: Iterator[int] = iter(range(2))

    def crash(_path: Path) -> None:
        if next(left, None) is None:
            raise Crash

    removing(crash)
    with pytest.raises(Crash):
        await device.replica.sync()
    device.reopen()
    left = iter(range(100))
    assert len(list(device.store.blobs.digests())) == 2
    await device.replica.sync()
    assert list(device.store.blobs.digests()) == []
    assert not is_untidy(device)


async def test_nothing_is_tidied_while_a_content_is_copied_in(
    tenant: TestTenant, make_device: MakeDevice
) -> None:
    """It goes when the next run is over; the run itself does not wait for the copy."""
    device = make_device(tenant)
    await with_needless_contents(device, 3)
    with device.store.blobs.adding(BytesContent(b"slow")):
        await device.replica.sync()
        assert len(list(device.store.blobs.digests())) == 4
    await device.replica.sync()
    assert list(device.store.blobs.digests()) == []


class StateOfBefore(FollowerState):
    """The record that held what is two records now."""

    is_untidy: bool
    is_tidying: bool


@pytest.mark.parametrize("was_cut_short", [False, True])
async def test_a_store_of_before_goes_on_from_its_cursor_and_is_tidied(
    tenant: TestTenant, make_device: MakeDevice, *, was_cut_short: bool
) -> None:
    device = make_device(tenant)
    device.replica.create("a.txt", b"a")
    await device.replica.sync()
    await with_needless_contents(device, 1)
    state = device.replica._follower._tables.state.model_dump()
    with device.store.transaction():
        before = StateOfBefore(**state, is_untidy=not was_cut_short, is_tidying=was_cut_short)
        device.store.table("state", StateOfBefore).put("replica", before)
        device.store.table("state", Tidiness).delete("contents")
    device.reopen()
    assert device.replica.cursor == state["cursor"]
    result = await device.replica.sync()
    assert (result.resynced, result.added, result.modified) == ("no", [], [])
    assert len(list(device.store.blobs.digests())) == 1
