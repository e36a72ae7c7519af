"""A server that lost what its clients had seen, by a fail-over to an older copy."""

from fixtures.failovers import Failover
from fixtures.replicas import Device, MakeDevice


def state(device: Device) -> dict[str, tuple[str, bytes | None]]:
    """Media types and contents by name."""
    found = device.replica.documents()
    return {d.filename: (d.mime_type, device.bytes_of(d.id)) for d in found}


async def assert_in_step(*devices: Device) -> None:
    for _ in range(2):
        for device in devices:
            await device.replica.sync()
    first, *others = devices
    for device in others:
        assert list(device.replica.remote()) == list(first.replica.remote())
        assert state(device) == state(first)
    assert all(device.replica.pending() == [] for device in devices)


async def test_what_was_lost_is_brought_back(failover: Failover, make_device: MakeDevice) -> None:
    ahead, survivor = make_device(failover.account), make_device(failover.account)
    names = ("kept", "updated", "renamed", "deleted", "deleted later", "both", "edited", "alike")
    ids = {name: ahead.replica.create(f"{name}.txt", f"{name} 1".encode()).id for name in names}
    await ahead.replica.sync()
    await survivor.replica.sync()

    failover.fork()
    ids["made"] = ahead.replica.create("made.txt", b"made").id
    for name in ("updated", "both", "edited", "alike"):
        ahead.replica.update(ids[name], content=f"{name} 2".encode())
    ahead.replica.update(ids["renamed"], filename="renamed 2.txt")
    ahead.replica.delete(ids["deleted"])
    await ahead.replica.sync()
    ahead.replica.update(ids["edited"], mime_type="text/csv")

    failover.take_over(ahead, survivor)
    survivor.replica.delete(ids["deleted later"])
    survivor.replica.update(ids["both"], content=b"both 3")
    survivor.replica.update(ids["alike"], content=b"alike 2")
    await survivor.replica.sync()
    result = await ahead.replica.sync()

    assert result.resynced == "history_lost"
    (conflict,) = ahead.replica.conflicts()
    assert (conflict.id, conflict.base) == (ids["both"], None)
    assert ahead.bytes_of(ids["both"]) == b"both 2"
    ahead.replica.resolve(ids["both"], "theirs")
    await assert_in_step(ahead, survivor)
    assert state(survivor) == {
        "kept.txt": ("text/plain", b"kept 1"),
        "made.txt": ("text/plain", b"made"),
        "updated.txt": ("text/plain", b"updated 2"),
        "renamed 2.txt": ("text/plain", b"renamed 1"),
        "deleted.txt": ("text/plain", b"deleted 1"),
        "both.txt": ("text/plain", b"both 3"),
        "edited.txt": ("text/csv", b"edited 2"),
        "alike.txt": ("text/plain", b"alike 2"),
    }
    assert {d.id for d in survivor.replica.remote()} == set(ids.values()) - {ids["deleted later"]}


async def test_two_that_hold_the_same_loss_bring_it_back_once(
    failover: Failover, make_device: MakeDevice
) -> None:
    one, other = make_device(failover.account), make_device(failover.account)
    old = one.replica.create("old.txt", b"old 1").id
    await one.replica.sync()
    failover.fork()
    one.replica.update(old, content=b"old 2")
    new = one.replica.create("new.txt", b"new").id
    await one.replica.sync()
    await other.replica.sync()
    failover.take_over(one, other)
    for device in (one, other):
        assert (await device.replica.sync()).resynced == "history_lost"
    assert one.replica.conflicts() == other.replica.conflicts() == []
    await assert_in_step(one, other)
    assert {one.bytes_of(old), one.bytes_of(new)} == {b"old 2", b"new"}
    assert len(one.replica.documents()) == 2


async def test_a_push_that_the_feed_has_not_confirmed(
    failover: Failover, make_device: MakeDevice
) -> None:
    """The cursor is from before the loss, so that nobody tells of it."""
    device, other = make_device(failover.account), make_device(failover.account)
    updated = device.replica.create("updated.txt", b"1").id
    deleted = device.replica.create("deleted.txt", b"deleted").id
    await device.replica.sync()
    await device.replica.sync()
    failover.fork()
    made = device.replica.create("made.txt", b"made").id
    device.replica.update(updated, content=b"2")
    device.replica.delete(deleted)
    await device.replica.push()
    failover.take_over(device, other)
    result = await device.replica.sync()
    assert result.resynced == "history_lost"
    await assert_in_step(device, other)
    assert other.names() == {"updated.txt": b"2", "made.txt": b"made", "deleted.txt": b"deleted"}
    assert other.bytes_of(made) == b"made"


async def test_an_edit_on_top_of_a_loss(failover: Failover, make_device: MakeDevice) -> None:
    """The push meets an older version than its base: nothing is judged before the resync."""
    device, other = make_device(failover.account), make_device(failover.account)
    document = device.replica.create("a.txt", b"1").id
    await device.replica.sync()
    await device.replica.sync()
    failover.fork()
    device.replica.update(document, content=b"2")
    await device.replica.push()
    failover.take_over(device, other)
    device.replica.update(document, filename="b.txt")
    result = await device.replica.sync()
    assert (result.resynced, result.conflicts) == ("history_lost", [])
    await assert_in_step(device, other)
    assert other.names() == {"b.txt": b"2"}


async def test_without_contents_it_is_told_what_was_lost(
    failover: Failover, make_device: MakeDevice
) -> None:
    writer = make_device(failover.account)
    reader = make_device(failover.account, keep_contents=False)
    old, kept = (writer.replica.create(f"{n}.txt", f"{n}".encode()).id for n in range(2))
    await writer.replica.sync()
    failover.fork()
    writer.replica.update(old, content=b"lost")
    made = writer.replica.create("made.txt", b"made").id
    await writer.replica.sync()
    await reader.replica.sync()
    held = {document.id: document.updated_at for document in reader.replica.remote()}
    failover.take_over(reader)
    assert (await reader.replica.pull()).resynced == "history_lost"
    assert {document.id for document in reader.replica.remote()} == {old, kept}
    assert reader.replica.lost() == {old: held[old], made: held[made]}
    reader.reopen()
    reader.replica.settle_lost([old])
    assert set(reader.replica.lost()) == {made}
    assert (await reader.replica.pull()).resynced == "no"
    assert set(reader.replica.lost()) == {made}
