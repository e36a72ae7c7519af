"""Files that go back to older versions after a decision, or after a sync that was broken off."""

import pytest

from fixtures.mirrors import texts, write
from simulation.crashes import Crashed, crash_at
from simulation.device import Device
from syncapi.client.folder.observe.observer import Keep
from syncapi.client.folder.reports import MirrorReport

MOMENTS = range(1, 40)
"""More than any of these syncs has."""


async def sync(
    device: Device, went_back: Keep | None = None, *, restore_missing: bool = False
) -> MirrorReport:
    async with device.opened() as mirror:
        return await mirror.sync(went_back=went_back, restore_missing=restore_missing)


async def grown(device: Device, *names: str) -> None:
    """Files of which the server has an older version, too."""
    for text in ("old", "new"):
        for name in names:
            write(device, name, f"{text} {name}")
        await sync(device)


async def decide(device: Device, path: str, keep: Keep) -> MirrorReport:
    async with device.opened() as mirror:
        mirror.resolve(path, keep)
        return await mirror.sync()


async def break_off_before_it_comes(
    device: Device, name: str, went_back: Keep | None = None
) -> None:
    """End a sync that fetches a missing file right after the ledger knows that it will."""
    before = _entry(device, name)
    for moment in MOMENTS:
        try:
            with crash_at(moment, is_after=True):
                await sync(device, went_back, restore_missing=went_back is None)
        except Crashed:
            pass
        if _entry(device, name) != before:
            break
    assert name not in texts(device)


def _entry(device: Device, path: str) -> object:
    return next(entry for entry in device.entries() if entry.path == path)


async def test_the_servers_versions_replace_also_what_was_asked_about_before(
    laptop: Device, desktop: Device
) -> None:
    names = ("a", "b", "c", "d", "e")
    await grown(laptop, *names)
    newest = texts(laptop)
    write(laptop, "a", "old a")
    await sync(laptop)
    write(laptop, "a", "old a")
    for name in names:
        write(laptop, name, f"old {name}")

    await sync(laptop, "theirs")

    assert newest.items() <= texts(laptop).items()
    await sync(desktop)
    assert texts(desktop) == texts(laptop)


@pytest.mark.parametrize("again", [None, "theirs"])
async def test_older_bytes_that_come_before_a_missing_file_was_fetched_are_not_pushed(
    again: Keep | None, laptop: Device, desktop: Device
) -> None:
    """A backup is put back in two parts, and the sync between these is broken off."""
    await grown(laptop, "a", "b", "missing")
    newest = texts(laptop)
    write(laptop, "a", "old a")
    (laptop.root / "missing").unlink()
    await break_off_before_it_comes(laptop, "missing", "theirs")
    write(laptop, "missing", "old missing")

    await sync(laptop, again)

    assert newest.items() <= {**texts(laptop), "a": "new a"}.items()
    await sync(desktop)
    assert newest.items() <= texts(desktop).items()


async def test_older_bytes_in_the_place_of_a_file_to_restore_are_not_pushed(
    laptop: Device, desktop: Device
) -> None:
    await grown(laptop, "a", "b")
    (laptop.root / "a").unlink()
    await break_off_before_it_comes(laptop, "a")
    write(laptop, "a", "old a")

    report = await sync(laptop)

    (conflict,) = report.conflicts
    expected = {"a": "new a", "b": "new b", conflict.copy_path: "old a"}
    assert texts(laptop) == expected
    await sync(desktop)
    assert texts(desktop) == expected


async def test_a_deletion_is_not_undone_by_a_file_that_was_to_be_restored(
    laptop: Device, desktop: Device
) -> None:
    for name in ("a", "b"):
        write(laptop, name, name)
    await sync(laptop)
    await sync(desktop)
    (laptop.root / "a").unlink()
    await break_off_before_it_comes(laptop, "a")
    write(laptop, "a", "a")
    (desktop.root / "a").unlink()
    await sync(desktop)

    await sync(laptop)

    assert texts(laptop) == {"b": "b"}
    await sync(desktop)
    assert texts(desktop) == {"b": "b"}


@pytest.mark.parametrize("by_hand", [False, True])
async def test_older_bytes_that_gave_way_are_asked_about_again(
    by_hand: bool, laptop: Device
) -> None:
    await grown(laptop, "a")
    for _ in range(2):
        write(laptop, "a", "old a")
        (conflict,) = (await sync(laptop)).conflicts
        assert texts(laptop) == {"a": "new a", conflict.copy_path: "old a"}
        if by_hand:
            (laptop.root / conflict.copy_path).unlink()
            await sync(laptop)
        else:
            await decide(laptop, "a", "theirs")
        assert texts(laptop) == {"a": "new a"}


async def test_one_decision_is_enough_where_mine_is_an_older_version(
    laptop: Device, desktop: Device
) -> None:
    await grown(laptop, "a")
    await sync(desktop)
    write(desktop, "a", "newest a")
    await sync(desktop)
    write(laptop, "a", "old a")
    await sync(laptop)

    report = await decide(laptop, "a", "mine")

    assert (report.conflicts, texts(laptop)) == ([], {"a": "old a"})
    await sync(desktop)
    assert texts(desktop) == {"a": "old a"}


async def test_a_conflict_whose_copy_is_ignored_and_gone_is_settled_by_keeping_both(
    laptop: Device, desktop: Device
) -> None:
    await grown(laptop, "a")
    write(laptop, "a", "old a")
    (conflict,) = (await sync(laptop)).conflicts
    await sync(desktop)
    write(laptop, ".syncignore", "*(conflict*\n")
    await sync(laptop)
    (laptop.root / conflict.copy_path).unlink()
    assert (await sync(laptop)).conflicts == [conflict]

    async with laptop.opened() as mirror:
        mirror.resolve("a", "both")
        assert (await mirror.sync()).conflicts == []
    await sync(desktop)
    assert texts(desktop)[conflict.copy_path] == "old a"


async def test_a_broken_off_answer_pushes_nothing_over_what_has_an_old_name_by_now(
    laptop: Device, desktop: Device
) -> None:
    """The old bytes are no older version of that document."""
    for files in ({"x": "old", "kept": "kept"}, {"x": "another", "y": "much work"}):
        for path, text in files.items():
            write(laptop, path, text)
        await sync(laptop)
        if "y" not in texts(laptop):
            (laptop.root / "x").rename(laptop.root / "y")
            await sync(laptop)
    newest = texts(laptop)
    (laptop.root / "y").unlink()
    write(laptop, "x", "old")
    await break_off_before_it_comes(laptop, "y", "theirs")

    await sync(laptop)

    assert newest.items() <= texts(laptop).items()
    await sync(desktop)
    assert newest.items() <= texts(desktop).items()


async def test_the_answer_to_a_push_is_kept(laptop: Device) -> None:
    """It fetches nothing; the next sync does."""
    await grown(laptop, "a", "missing")
    write(laptop, "a", "old a")
    (laptop.root / "missing").unlink()
    async with laptop.opened() as mirror:
        assert (await mirror.sync(direction="push", went_back="theirs")).done == []

    (conflict,) = (await sync(laptop)).conflicts

    assert texts(laptop) == {
        "a": "new a",
        "missing": "new missing",
        conflict.copy_path: "old a",
    }


async def test_a_pull_asks_nothing_and_may_be_answered(laptop: Device, desktop: Device) -> None:
    """It pushes nothing and deletes nothing on the server."""
    names = ("a", "b", "c", "d")
    await grown(laptop, *names)
    await sync(desktop)
    write(desktop, "e", "e")
    await sync(desktop)
    for name in names:
        write(laptop, name, f"old {name}")
    async with laptop.opened() as mirror:
        await mirror.sync(direction="pull")
    assert texts(laptop) == {"e": "e"} | {name: f"old {name}" for name in names}

    async with laptop.opened() as mirror:
        await mirror.sync(direction="pull", went_back="theirs")

    assert texts(laptop) == {"e": "e"} | {name: f"new {name}" for name in names}
