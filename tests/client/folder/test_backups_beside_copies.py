"""A backup is put back over a folder in which its bytes are also other documents'.

Nothing but a question keeps it from deleting what it lacks.
"""

import os
import shutil
from collections.abc import Callable

import pytest

from fixtures.mirrors import texts, write
from simulation.device import Device
from syncapi.client.errors import SafetyStop
from syncapi.client.folder.observe.observer import Keep
from syncapi.client.folder.reports import MirrorReport

FILES = ("1", "2", "3", "4", "5", "6")


async def sync(device: Device, went_back: Keep | None = None) -> MirrorReport:
    async with device.opened() as mirror:
        return await mirror.sync(went_back=went_back)


async def write_and_sync(device: Device, files: dict[str, str]) -> None:
    for path, text in files.items():
        write(device, path, text)
    await sync(device)


def delete(device: Device, *paths: str) -> None:
    for path in paths:
        (device.root / path).unlink()


def put_back(device: Device, backup: dict[str, str]) -> None:
    """Have just what the backup has."""
    delete(device, *(path for path in texts(device) if path not in backup))
    for path, text in backup.items():
        if texts(device).get(path) != text:
            write(device, path, text)


async def expect_question(device: Device, other: Device, said: str) -> None:
    """The sync asks and does nothing, and the server's versions can be had again."""
    newest = {entry.path: entry.sha256 for entry in device.entries()}
    here = texts(device)
    with pytest.raises(SafetyStop, match=said):
        await sync(device)
    assert texts(device) == here
    await sync(other)
    assert other.tree() == newest
    await sync(device, "theirs")
    assert newest.items() <= device.tree().items()


@pytest.mark.parametrize("number", [6, 1])
async def test_a_copy_of_the_folder_is_in_step_too(
    number: int, laptop: Device, desktop: Device
) -> None:
    await write_and_sync(laptop, {f"p/{name}": f"old {name}" for name in FILES})
    shutil.copytree(laptop.root / "p", laptop.root / "p-old")
    await sync(laptop)
    backup = texts(laptop)
    await write_and_sync(laptop, {f"p/{name}": f"new {name}" for name in FILES[:number]})
    await write_and_sync(laptop, {f"newer {name}": name for name in FILES[:5]})

    put_back(laptop, backup)

    await expect_question(laptop, desktop, f"^{number} files .* 5 of what was in step")


async def test_the_backup_is_older_than_a_copy_of_the_file(
    laptop: Device, desktop: Device
) -> None:
    await write_and_sync(laptop, {"a": "old", "kept": "kept"})
    backup = texts(laptop)
    await write_and_sync(laptop, {"a-old": "old"})
    await write_and_sync(laptop, {"a": "new"})

    put_back(laptop, backup)

    await expect_question(laptop, desktop, r"^1 files .* 1 of what was in step")


@pytest.mark.parametrize("has_copy", [True, False], ids=["has the copy", "lacks the copy"])
async def test_a_file_was_renamed_and_edited_while_a_copy_of_it_stayed(
    has_copy: bool, laptop: Device, desktop: Device
) -> None:
    """Without the copy, what the backup brings looks like that copy under another name."""
    await write_and_sync(laptop, {"x": "old", "kept": "kept"})
    backup = texts(laptop)
    await write_and_sync(laptop, {"x-old": "old"})
    if has_copy:
        backup = texts(laptop)
    (laptop.root / "x").rename(laptop.root / "y")
    await sync(laptop)
    await write_and_sync(laptop, {"y": "much work"})

    put_back(laptop, backup)

    with pytest.raises(SafetyStop, match=r"^1 files .* 1 of what was in step"):
        await sync(laptop)
    await sync(laptop, "theirs")
    assert {*texts(laptop).values()} == {"kept", "old", "much work"}
    await sync(desktop)
    assert texts(desktop) == texts(laptop)


async def test_another_document_has_the_old_name_by_now(laptop: Device, desktop: Device) -> None:
    """The old bytes are no older version of that one."""
    await write_and_sync(laptop, {"x": "old", "kept": "kept"})
    backup = texts(laptop)
    (laptop.root / "x").rename(laptop.root / "y")
    await sync(laptop)
    await write_and_sync(laptop, {"x": "another", "y": "much work"})

    put_back(laptop, backup)

    await expect_question(laptop, desktop, r"^1 files .* 1 of what was in step")


async def test_others_have_edited_what_went_back(laptop: Device, desktop: Device) -> None:
    await write_and_sync(laptop, {"a": "old", "kept": "kept"})
    backup = texts(laptop)
    await write_and_sync(laptop, {"a": "new", "newer": "newer"})
    await sync(desktop)
    await write_and_sync(desktop, {"a": "newest"})

    put_back(laptop, backup)

    with pytest.raises(SafetyStop, match=r"^1 files .* 1 of what was in step"):
        await sync(laptop)
    report = await sync(laptop, "theirs")
    assert report.conflicts == []
    assert texts(laptop) == {"a": "newest", "kept": "kept", "newer": "newer"}
    await sync(desktop)
    assert texts(desktop) == texts(laptop)


async def test_a_push_asks_about_what_others_have_edited_too(
    laptop: Device, desktop: Device
) -> None:
    await write_and_sync(laptop, {"a": "old", "kept": "kept"})
    backup = texts(laptop)
    await write_and_sync(laptop, {"a": "new", "newer": "newer"})
    await sync(desktop)
    await write_and_sync(desktop, {"a": "newest"})

    put_back(laptop, backup)

    async with laptop.opened() as mirror:
        with pytest.raises(SafetyStop, match=r"^1 files .* 1 of what was in step"):
            await mirror.sync(direction="push")


async def test_others_have_a_new_document_where_an_old_name_came_back(
    laptop: Device, desktop: Device
) -> None:
    await write_and_sync(laptop, {"x": "old", "kept": "kept"})
    backup = texts(laptop)
    (laptop.root / "x").rename(laptop.root / "y")
    await sync(laptop)
    await write_and_sync(laptop, {"y": "much work"})
    await sync(desktop)
    await write_and_sync(desktop, {"x": "another"})

    put_back(laptop, backup)

    with pytest.raises(SafetyStop, match=r"^1 files .* 1 of what was in step"):
        await sync(laptop)
    await sync(laptop, "theirs")
    assert (texts(laptop)["x"], texts(laptop)["y"]) == ("another", "much work")


def _replace_by_links(device: Device) -> None:
    shutil.rmtree(device.root / "p")
    shutil.copytree(device.root / "p-old", device.root / "p", copy_function=os.link)


def _replace_by_the_copy_itself(device: Device) -> None:
    shutil.rmtree(device.root / "p")
    (device.root / "p-old").rename(device.root / "p")


@pytest.mark.parametrize("number", [6, 1])
@pytest.mark.parametrize("replace", [_replace_by_links, _replace_by_the_copy_itself])
async def test_the_copy_in_the_folder_is_itself_what_is_put_back(
    number: int, replace: Callable[[Device], None], laptop: Device, desktop: Device
) -> None:
    await write_and_sync(laptop, {f"p/{name}": f"old {name}" for name in FILES[:number]})
    shutil.copytree(laptop.root / "p", laptop.root / "p-old", copy_function=os.link)
    await sync(laptop)
    for name in FILES[:number]:
        delete(laptop, f"p/{name}")  # so that the copy's file, which is the same, stays as it is
    await write_and_sync(laptop, {f"p/{name}": f"new {name}" for name in FILES[:number]})
    await write_and_sync(laptop, {"p/newer": "newer"})

    replace(laptop)

    await expect_question(laptop, desktop, f"^{number} files ")


async def test_older_rules_are_kept_under_another_name(laptop: Device, desktop: Device) -> None:
    await write_and_sync(laptop, {".syncignore": "*.tmp\n", "rules": "*.tmp\n"})
    backup = texts(laptop)
    await write_and_sync(laptop, {".syncignore": "*.tmp\n*.bak\n", "newer": "newer"})

    put_back(laptop, backup)

    await expect_question(laptop, desktop, r"^1 files .* 1 of what was in step")


async def test_many_files_are_made_from_a_template_again(laptop: Device) -> None:
    """One question, in place of a conflict of each."""
    await write_and_sync(laptop, {f"template/{name}": f"form {name}" for name in FILES})
    await write_and_sync(laptop, {f"project/{name}": f"form {name}" for name in FILES})
    await write_and_sync(laptop, {f"project/{name}": f"work {name}" for name in FILES})
    for name in FILES:
        write(laptop, f"project/{name}", f"form {name}")
    with pytest.raises(SafetyStop, match=r"^6 files here have gone back to older versions\. Was"):
        await sync(laptop)
    assert (await sync(laptop, "mine")).counts == {"update": 6}


async def test_few_files_are_made_from_a_template_again(laptop: Device) -> None:
    await write_and_sync(laptop, {"template": "form", "a": "form", "kept": "kept"})
    await write_and_sync(laptop, {"a": "work"})
    write(laptop, "a", "form")
    (conflict,) = (await sync(laptop)).conflicts
    assert texts(laptop)[conflict.copy_path] == "form"


async def test_many_new_files_are_made_from_a_template(laptop: Device) -> None:
    """What is deleted meanwhile is deleted: no document ever had those names."""
    await write_and_sync(laptop, {f"template/{name}": f"form {name}" for name in FILES})
    await write_and_sync(laptop, {f"project/{name}": f"form {name}" for name in FILES})
    await write_and_sync(laptop, {f"project/{name}": f"work {name}" for name in FILES})
    shutil.copytree(laptop.root / "template", laptop.root / "project 2")
    delete(laptop, "project/1")
    assert (await sync(laptop)).counts == {"create": 6, "delete": 1}
