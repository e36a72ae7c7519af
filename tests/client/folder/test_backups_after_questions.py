"""A backup brings bytes again that a person was asked about.

That they were asked is no answer: only a decision for those bytes keeps them from showing that a
backup was put back, and what it lacks from being deleted without a question.
"""

from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Literal

import httpx
import pytest

from fixtures.mirrors import texts, write
from simulation.crashes import Crashed, crash_at
from simulation.device import Device
from simulation.faults import Fault
from syncapi.client.errors import SafetyStop
from syncapi.client.folder.observe.observer import Keep
from syncapi.client.folder.reports import FolderConflict, MirrorReport

NEWER = {f"newer{number}": f"{number}" for number in range(6)}


async def sync(device: Device, went_back: Keep | None = None) -> MirrorReport:
    async with device.opened() as mirror:
        return await mirror.sync(went_back=went_back)


async def write_and_sync(device: Device, files: dict[str, str]) -> MirrorReport:
    for path, text in files.items():
        write(device, path, text)
    return await sync(device)


async def decide(device: Device, keep: Keep) -> None:
    async with device.opened() as mirror:
        mirror.resolve("a", keep)


async def undone(device: Device, path: str = "a") -> FolderConflict:
    """Older bytes of a file were put back, and a person is asked about them."""
    await write_and_sync(device, {path: "first", "kept": "kept"})
    await write_and_sync(device, {path: "second", **NEWER})
    report = await write_and_sync(device, {path: "first"})
    return next(conflict for conflict in report.conflicts if conflict.path == path)


def put_back(device: Device) -> None:
    """Have what a backup has that was made after the first sync."""
    backup = {"a": "first", "kept": "kept"}
    for path in texts(device).keys() - backup.keys():
        (device.root / path).unlink()
    write(device, "a", "first")


async def expect_question(device: Device, other: Device) -> None:
    with pytest.raises(SafetyStop, match=r"^1 files .* of what was in step are missing"):
        await sync(device)
    await sync(other)
    assert NEWER.items() <= texts(other).items()
    await sync(device, "theirs")
    assert NEWER.items() <= texts(device).items()


async def test_the_question_was_left_open(laptop: Device, desktop: Device) -> None:
    await undone(laptop)
    put_back(laptop)
    await expect_question(laptop, desktop)
    assert len(await laptop.conflicts()) == 1


async def test_the_answer_is_broken_off(laptop: Device, desktop: Device) -> None:
    """Whatever moment it ends at, the older bytes are not pushed by the next sync."""
    for moment in count(1):
        name = f"a{moment}"
        await undone(laptop, name)
        (laptop.root / "newer0").unlink()
        write(laptop, name, "first")
        try:
            with crash_at(moment, is_after=False):
                await sync(laptop, "theirs")
            break
        except Crashed:
            pass
        with suppress(SafetyStop):
            await sync(laptop)
        await sync(desktop)
        assert (texts(desktop)[name], texts(desktop)["newer0"]) == ("second", "0"), moment
        await sync(laptop, "theirs")


async def test_the_copy_was_not_pushed_yet(
    laptop: Device, desktop: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the conflict is not listed any more once the backup lacks the copy."""
    await write_and_sync(laptop, {"a": "first", "kept": "kept"})
    await write_and_sync(laptop, {"a": "second", **NEWER})
    with monkeypatch.context() as patch:
        patch.setattr(laptop.api, "draw", refuse_pushes)
        write(laptop, "a", "first")
        await laptop.sync()
    (conflict,) = await laptop.conflicts()
    assert conflict.copy_id is None
    put_back(laptop)
    with pytest.raises(SafetyStop, match="of what was in step are missing"):
        await sync(laptop)
    await expect_question(laptop, desktop)


def refuse_pushes(request: httpx.Request) -> Fault | None:
    is_push = request.method == "POST" and request.url.path.endswith("/documents/sync")
    return "refused" if is_push else None


async def test_the_decision_was_for_theirs(laptop: Device, desktop: Device) -> None:
    await undone(laptop)
    await decide(laptop, "theirs")
    await sync(laptop)
    put_back(laptop)
    await expect_question(laptop, desktop)


async def test_others_wrote_a_newer_version_after_the_decision(
    laptop: Device, desktop: Device
) -> None:
    await undone(laptop)
    await decide(laptop, "mine")
    await sync(laptop)
    await sync(desktop)
    await write_and_sync(desktop, {"a": "third"})
    await sync(laptop)
    put_back(laptop)
    await expect_question(laptop, desktop)


async def test_who_decides_for_mine_is_not_asked_again(laptop: Device, desktop: Device) -> None:
    """Also if they delete another file before the next sync."""
    await undone(laptop)
    await decide(laptop, "mine")
    (laptop.root / "newer0").unlink()
    assert (await sync(laptop)).conflicts == []
    await sync(desktop)
    assert texts(desktop) == texts(laptop) == {"a": "first", "kept": "kept", **_without_first()}


async def test_nor_is_who_moves_the_copy_over_the_file(laptop: Device, desktop: Device) -> None:
    conflict = await undone(laptop)
    (laptop.root / conflict.copy_path).replace(laptop.root / "a")
    (laptop.root / "newer0").unlink()
    assert (await sync(laptop)).conflicts == []
    await sync(desktop)
    assert texts(desktop) == texts(laptop) == {"a": "first", "kept": "kept", **_without_first()}


def _without_first() -> dict[str, str]:
    return {path: text for path, text in NEWER.items() if path != "newer0"}


def _leave(_device: Device, _copy: str) -> None:
    """The copy stays."""


def _delete(device: Device, copy: str) -> None:
    (device.root / copy).unlink()


@pytest.mark.parametrize("then", [_leave, _delete])
async def test_who_puts_the_same_bytes_back_alone_is_taken_at_their_word(
    then: Callable[[Device, str], None], laptop: Device, desktop: Device
) -> None:
    conflict = await undone(laptop)
    write(laptop, "a", "first")
    then(laptop, conflict.copy_path)
    here = texts(laptop)
    for _ in range(2):
        await sync(laptop)
        assert texts(laptop) == here
    await sync(desktop)
    assert texts(desktop) == here


def move_the_copy(device: Device, conflict: FolderConflict) -> None:
    (device.root / conflict.copy_path).replace(device.root / "a")


@pytest.mark.parametrize("by", ["a decision", "moving the copy", "putting it back again"])
async def test_others_delete_the_document_after_the_answer(
    by: str, laptop: Device, desktop: Device
) -> None:
    """To them the answer is an edit, which survives their deletion."""
    conflict = await undone(laptop)
    await sync(desktop)
    if by == "a decision":
        await decide(laptop, "mine")
    elif by == "moving the copy":
        move_the_copy(laptop, conflict)
    else:
        write(laptop, "a", "first")
    (desktop.root / "a").unlink()
    await sync(desktop)

    await sync(laptop)

    await sync(desktop)
    assert texts(laptop)["a"] == texts(desktop)["a"] == "first"


async def test_others_rename_the_document_after_the_answer(
    laptop: Device, desktop: Device
) -> None:
    """The answer is not asked for once more."""
    await undone(laptop)
    await sync(desktop)
    await decide(laptop, "mine")
    (desktop.root / "a").rename(desktop.root / "b")
    await sync(desktop)

    assert (await sync(laptop)).conflicts == []

    await sync(desktop)
    for device in (laptop, desktop):
        assert texts(device) == {"b": "first", "kept": "kept", **NEWER}


@pytest.mark.parametrize("is_edited", [True, False], ids=["edited", "as it was"])
async def test_the_copy_is_missing(is_edited: bool, laptop: Device, desktop: Device) -> None:
    """Its bytes are at the file's place again, unless somebody has edited it."""
    conflict = await undone(laptop)
    if is_edited:
        await write_and_sync(laptop, {conflict.copy_path: "first, and much work"})
        await sync(desktop)
    (laptop.root / conflict.copy_path).unlink()
    write(laptop, "a", "first")
    if not is_edited:
        await sync(laptop)
        assert texts(laptop) == {"a": "first", "kept": "kept", **NEWER}
        return

    with pytest.raises(SafetyStop, match=r"^1 files .* 1 of what was in step are missing"):
        await sync(laptop)

    await sync(desktop)
    assert texts(desktop)[conflict.copy_path] == "first, and much work"


async def two_questions(device: Device) -> tuple[FolderConflict, FolderConflict]:
    """Two older versions of one file were put back, one after the other."""
    for text in ("first", "second", "third", "first", "second"):
        await write_and_sync(device, {"a": text})
    one, two = sorted(await device.conflicts(), key=lambda conflict: conflict.seen_at)
    return one, two


@pytest.mark.parametrize("other", ["theirs", "both"])
@pytest.mark.parametrize("is_last", [True, False], ids=["mine last", "mine first"])
async def test_one_answer_undoes_no_other(
    is_last: bool, other: Literal["theirs", "both"], laptop: Device
) -> None:
    one, two = await two_questions(laptop)
    async with laptop.opened() as mirror:
        if not is_last:
            mirror.resolve(two.copy_path, "mine")
        mirror.resolve(one.copy_path, other)
        if is_last:
            mirror.resolve(two.copy_path, "mine")

        assert (await mirror.sync()).conflicts == []

    assert texts(laptop)["a"] == "second"


async def test_an_answer_that_was_undone_is_none(laptop: Device, desktop: Device) -> None:
    """The file had the server's version again before a sync could push mine."""
    await undone(laptop)
    await sync(desktop)
    await decide(laptop, "mine")
    await write_and_sync(laptop, {"a": "second"})
    assert await laptop.conflicts() == []
    put_back(laptop)
    await expect_question(laptop, desktop)
    assert texts(desktop)["a"] == "second"


async def test_the_answer_comes_before_theirs_has(laptop: Device) -> None:
    """What theirs has could not be fetched yet: it is decided against all the same."""
    await write_and_sync(laptop, {"a": "first"})
    await write_and_sync(laptop, {"a": "second"})
    write(laptop, "a", "first")
    laptop.storage.rate, laptop.storage.only = 1.0, "refused"
    await laptop.sync()
    laptop.storage.rate, laptop.storage.only = 0.0, None
    assert "a" not in texts(laptop)
    async with laptop.opened() as mirror:
        mirror.resolve("a", "mine")

        assert (await mirror.sync()).conflicts == []

    assert texts(laptop) == {"a": "first"}
