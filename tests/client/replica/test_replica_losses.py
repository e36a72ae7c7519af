"""A server that lost what its clients had seen, by a fail-over to an older copy."""

import pytest

from fixtures.failovers import Failover
from fixtures.replicas import Device, MakeDevice
from syncapi.client.errors import Unreachable


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


async def test_two_losses_in_a_row(failover: Failover, make_device: MakeDevice) -> None:
    """What was brought back after the first one is lost in the second, pushed or not."""
    device, reader = make_device(failover.account), make_device(failover.account)
    replica = device.replica
    pushed, queued = (
        replica.create(f"{n}.txt", f"{n} 1".encode()).id for n in ("pushed", "queued")
    )
    await replica.sync()
    await replica.sync()
    failover.fork()
    for id_ in (pushed, queued):
        replica.update(id_, content=b"2")
    await replica.sync()
    await replica.sync()
    failover.take_over(device)
    failover.fork()
    device.replica.update(pushed, filename="renamed.txt")
    await device.replica.push()
    await device.replica.pull()
    failover.take_over(device, reader)
    await assert_in_step(device, reader)
    assert device.names() == {"renamed.txt": b"2", "queued.txt": b"2"}


async def test_a_conflict_is_settled_while_its_other_side_waits_to_be_pushed(
    failover: Failover, make_device: MakeDevice
) -> None:
    names = ("mine", "theirs", "both", "by hand")
    device, other = make_device(failover.account), make_device(failover.account)
    ids = {name: other.replica.create(f"{name}.txt", b"1").id for name in names}
    await other.replica.sync()
    await device.replica.sync()
    failover.fork()
    for name, id_ in ids.items():
        other.replica.update(id_, content=f"theirs, {name}".encode())
        device.replica.update(id_, content=f"mine, {name}".encode())
    await other.replica.sync()
    await device.replica.sync()
    reader = make_device(failover.account)
    failover.take_over(device, reader)
    await device.replica.pull()
    assert {record.id for record in device.replica.conflicts()} == set(ids.values())
    assert device.names() == {f"{n}.txt": f"mine, {n}".encode() for n in names}
    device.replica.resolve(ids["mine"], "mine")
    device.replica.resolve(ids["theirs"], "theirs")
    device.replica.resolve(ids["both"], "both")
    device.replica.resolve(ids["by hand"], {"content": "theirs", "filename": "agreed.txt"})
    await assert_in_step(device, reader)
    contents = {reader.bytes_of(id_) for id_ in ids.values()}
    assert contents == {b"mine, mine", b"theirs, theirs", b"theirs, both", b"theirs, by hand"}
    assert sorted(reader.names()) == sorted(
        ["mine.txt", "theirs.txt", "both.txt", "agreed.txt", *copies(reader)]
    )
    assert list(copies(reader).values()) == [b"mine, both"]


def copies(device: Device) -> dict[str, bytes | None]:
    return {name: content for name, content in device.names().items() if "(conflict" in name}


async def test_an_edit_of_what_others_deleted_survives_that_both_are_lost(
    failover: Failover, make_device: MakeDevice
) -> None:
    """Of the version that was edited here the server has an older one again."""
    device, other = make_device(failover.account), make_device(failover.account)
    document = other.replica.create("a.txt", b"1").id
    await other.replica.sync()
    failover.fork()
    other.replica.update(document, content=b"2")
    await other.replica.sync()
    await device.replica.sync()
    device.replica.update(document, filename="b.txt")
    other.replica.delete(document)
    await other.replica.sync()
    await device.replica.pull()
    reader = make_device(failover.account)
    failover.take_over(device, reader)
    await assert_in_step(device, reader)
    assert reader.names() == {"b.txt": b"2"}


async def test_what_is_deleted_here_is_kept_where_the_server_was_left_with_a_deletion(
    failover: Failover, make_device: MakeDevice
) -> None:
    device, other = make_device(failover.account), make_device(failover.account)
    document = device.replica.create("report.txt", b"1").id
    await device.replica.sync()
    await other.replica.sync()
    device.replica.delete(document)
    await device.replica.sync()
    failover.fork()
    other.replica.update(document, content=b"2")
    await other.replica.sync()
    await device.replica.sync()
    assert device.bytes_of(document) == b"2"
    device.replica.delete(document)
    failover.take_over(device, other)
    await device.replica.sync()
    (settled,) = device.replica.settled()
    assert settled.mine.content is not None
    assert device.store.blobs.has(settled.mine.content.sha256)
    assert device.replica.documents() == []


async def test_bytes_that_had_not_come_are_named(
    failover: Failover, make_device: MakeDevice
) -> None:
    writer, device = make_device(failover.account), make_device(failover.account)
    failover.fork()
    made = writer.replica.create("a.txt", b"a").id
    await writer.replica.sync()
    device.storage.loses = lambda _request: True
    with pytest.raises(Unreachable):
        await device.replica.sync()
    (held,) = device.replica.remote()
    failover.take_over(device)
    device.storage.loses = lambda _request: False
    await device.replica.sync()
    assert (device.replica.documents(), device.replica.pending()) == ([], [])
    assert device.replica.lost() == {made: held.updated_at}


async def test_what_is_queued_goes_on_where_lost_bytes_had_not_come(
    failover: Failover, make_device: MakeDevice
) -> None:
    """There is nothing to bring back: a change without fields waited at the head for ever."""
    writer, device = make_device(failover.account), make_device(failover.account)
    document = writer.replica.create("a.txt", b"1").id
    await assert_in_step(writer, device)
    failover.fork()
    writer.replica.update(document, content=b"2")
    await writer.replica.sync()
    device.storage.loses = lambda _request: True
    with pytest.raises(Unreachable):
        await device.replica.sync()
    device.replica.update(document, filename="b.txt")
    failover.take_over(device)
    device.storage.loses = lambda _request: False
    result = await device.replica.sync()
    assert (result.resynced, result.errors) == ("history_lost", [])
    assert set(device.replica.lost()) == {document}
    assert device.replica.pending() == []
    assert device.names() == {"b.txt": b"1"}


async def test_who_gives_up_an_edit_keeps_the_lost_version(
    failover: Failover, make_device: MakeDevice
) -> None:
    device = make_device(failover.account)
    document = device.replica.create("a.txt", b"1").id
    await device.replica.sync()
    failover.fork()
    device.replica.update(document, content=b"2")
    await device.replica.sync()
    await device.replica.sync()
    device.replica.update(document, content=b"3")
    failover.take_over(device)
    await device.replica.pull()
    assert device.names() == {"a.txt": b"3"}
    device.replica.revert(document)
    assert device.names() == {"a.txt": b"2"}
    device.replica.revert(document)
    assert device.names() == {"a.txt": b"1"}


async def test_an_undo_stays_though_others_hold_what_was_undone(
    failover: Failover, make_device: MakeDevice
) -> None:
    device, other = make_device(failover.account), make_device(failover.account)
    document = device.replica.create("a.txt", b"1").id
    await device.replica.sync()
    failover.fork()
    device.replica.update(document, content=b"2")
    for one in (device, device, other):
        await one.replica.sync()
    device.replica.update(document, content=b"1")
    failover.take_over(device, other)
    for one in (device, other):
        await one.replica.sync()
    assert other.replica.conflicts() == []
    await assert_in_step(device, other)
    assert other.names() == {"a.txt": b"1"}
