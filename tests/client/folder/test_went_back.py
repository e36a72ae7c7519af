"""Bytes of an older version of the same document are no edit: they are asked about.

So an old copy that is put over the folder, in part or whole, overwrites nothing on the server.
"""

import pytest

from fixtures.mirrors import texts, write
from simulation.device import Device
from syncapi.client.errors import SafetyStop
from syncapi.client.folder.observe.observer import Keep
from syncapi.client.folder.reports import MirrorReport

NAMES = ("a", "b", "c", "d")


async def sync(device: Device, went_back: Keep | None = None) -> MirrorReport:
    async with device.opened() as mirror:
        return await mirror.sync(went_back=went_back)


async def grown(device: Device, *names: str) -> None:
    """Files of which the server has an older version, too."""
    for text in ("old", "new"):
        for name in names:
            write(device, name, f"{text} {name}")
        await sync(device)


async def test_one_file_that_went_back_is_asked_about(laptop: Device, desktop: Device) -> None:
    await grown(laptop, "a")
    write(laptop, "a", "old a")
    report = await sync(laptop)
    (conflict,) = report.conflicts
    assert texts(laptop) == {"a": "new a", conflict.copy_path: "old a"}
    await sync(desktop)
    assert texts(desktop) == texts(laptop)

    async with laptop.opened() as mirror:
        mirror.resolve("a", "mine")
        report = await mirror.sync()
    assert (report.conflicts, texts(laptop)) == ([], {"a": "old a"})
    await sync(desktop)
    assert texts(desktop) == {"a": "old a"}


async def test_who_does_it_again_is_not_asked_again(laptop: Device, desktop: Device) -> None:
    await grown(laptop, "a")
    for _ in range(2):
        write(laptop, "a", "old a")
        await sync(laptop)
    await sync(desktop)
    assert texts(desktop)["a"] == "old a"

    write(desktop, "a", "newest a")
    await sync(desktop)
    await sync(laptop)
    write(laptop, "a", "old a")  # of a newer version it is another question
    await sync(laptop)
    assert texts(laptop)["a"] == "newest a"


async def test_each_of_several_older_versions_is_asked_about_once(laptop: Device) -> None:
    for text in ("oldest", "old", "new"):
        write(laptop, "a", text)
        await sync(laptop)
    for text in ("oldest", "old"):
        write(laptop, "a", text)
        await sync(laptop)
        assert texts(laptop)["a"] == "new"
    write(laptop, "a", "oldest")
    await sync(laptop)
    assert texts(laptop)["a"] == "oldest"


async def test_who_toggles_a_setting_is_asked_once_for_each_version(
    laptop: Device, desktop: Device
) -> None:
    for text in ("on", "off"):
        write(laptop, "a", text)
        await sync(laptop)
    for text in ("on", "off", "on"):
        write(laptop, "a", text)
        asked = await sync(laptop)
        assert len(asked.conflicts) == 1
        async with laptop.opened() as mirror:
            mirror.resolve("a", "mine")
            assert (await mirror.sync()).conflicts == []
    await sync(desktop)
    assert texts(desktop) == {"a": "on"}


async def test_a_file_that_is_empty_again_is_not_asked_about(
    laptop: Device, desktop: Device
) -> None:
    for text in ("", "new"):
        for name in NAMES:
            write(laptop, name, text)
        await sync(laptop)
    for name in NAMES:
        write(laptop, name, "")
    assert (await sync(laptop)).conflicts == []
    await sync(desktop)
    assert texts(desktop) == dict.fromkeys(NAMES, "")


async def test_a_backup_with_empty_files_gives_way_whole(laptop: Device) -> None:
    for text in ("", "new"):
        for name in NAMES:
            write(laptop, name, text)
        await sync(laptop)
    write(laptop, "a", "")
    await sync(laptop, "theirs")
    assert texts(laptop)["a"] == "new"


async def test_what_was_deleted_there_is_not_brought_back_by_an_old_copy(
    laptop: Device, desktop: Device
) -> None:
    await grown(laptop, "a")
    await sync(desktop)
    (desktop.root / "a").unlink()
    async with desktop.opened() as mirror:
        await mirror.sync(allow_mass_delete=True)
    write(laptop, "a", "old a")
    await sync(laptop)
    assert texts(laptop) == {}
    assert (await sync(desktop)).done == []


@pytest.mark.parametrize(
    ("back", "missing"), [(NAMES, ()), (NAMES, ("newer",)), (("a",), ("newer",))]
)
async def test_an_old_copy_that_is_put_over_the_folder_stops_the_sync(
    back: tuple[str, ...], missing: tuple[str, ...], laptop: Device, desktop: Device
) -> None:
    await grown(laptop, *NAMES, "newer")
    before = texts(laptop)
    for name in back:
        write(laptop, name, f"old {name}")
    for name in missing:
        (laptop.root / name).unlink()

    with pytest.raises(SafetyStop, match="Was a backup put back"):
        await sync(laptop)

    await sync(desktop)
    assert texts(desktop) == before
    await sync(laptop, "theirs")
    assert texts(laptop) == before
    assert (await sync(laptop)).done == []
    assert (await sync(desktop)).done == []


async def test_what_is_missing_comes_back_although_the_rest_was_edited_meanwhile(
    laptop: Device, desktop: Device
) -> None:
    """Between the question and its answer: then no file has the bytes of an older version."""
    await grown(laptop, "a", "missing")
    write(laptop, "a", "old a")
    (laptop.root / "missing").unlink()
    with pytest.raises(SafetyStop):
        await sync(laptop)
    write(laptop, "a", "edited")

    await sync(laptop, "theirs")

    assert texts(laptop) == {"a": "edited", "missing": "new missing"}
    await sync(desktop)
    assert texts(desktop) == texts(laptop)


async def test_an_old_copy_that_is_meant_is_pushed(laptop: Device, desktop: Device) -> None:
    await grown(laptop, *NAMES, "newer")
    for name in NAMES:
        write(laptop, name, f"old {name}")
    (laptop.root / "newer").unlink()
    await sync(laptop, "mine")
    await sync(desktop)
    assert texts(desktop) == {name: f"old {name}" for name in NAMES}


async def put_back_over_renames(device: Device) -> None:
    """Put a backup over a folder in which a file was renamed and edited, and one was added."""
    await grown(device, *NAMES)
    write(device, "draft", "draft")
    await sync(device)
    backup = texts(device)
    (device.root / "draft").rename(device.root / "final")
    await sync(device)
    write(device, "final", "much work")
    write(device, "newer", "newer work")
    await sync(device)
    for name in ("final", "newer"):
        (device.root / name).unlink()
    for name, text in backup.items():
        write(device, name, text)


async def test_an_old_copy_that_undoes_a_rename_stops_the_sync(
    laptop: Device, desktop: Device
) -> None:
    await put_back_over_renames(laptop)
    here = texts(laptop)
    with pytest.raises(SafetyStop, match=r"^1 files .* 2 of what was in step"):
        await sync(laptop)
    async with laptop.opened() as mirror:
        with pytest.raises(SafetyStop, match="Was a backup put back"):
            await mirror.sync(allow_mass_delete=True)
    assert texts(laptop) == here
    await sync(desktop)
    newest = {
        **{name: f"new {name}" for name in NAMES},
        "final": "much work",
        "newer": "newer work",
    }
    assert texts(desktop) == newest

    await sync(laptop, "theirs")
    assert texts(laptop) == {**newest, "draft": "draft"}
    assert (await sync(laptop)).done == []
    await sync(desktop)
    assert texts(desktop) == texts(laptop)


async def test_an_old_copy_that_undoes_a_rename_may_be_meant(
    laptop: Device, desktop: Device
) -> None:
    await put_back_over_renames(laptop)
    await sync(laptop, "mine")
    await sync(desktop)
    assert texts(desktop) == {**{name: f"new {name}" for name in NAMES}, "draft": "draft"}


def histories_asked(device: Device) -> int:
    told = device.root.with_name("exchanges")
    device.exchanges.write(told)
    return told.read_text().count("/history")


@pytest.mark.parametrize(
    ("fresh", "asked"), [({}, 0), ({"b": ""}, 0), ({"b": "no older version"}, 1)]
)
async def test_who_deletes_a_file_and_adds_another_is_not_asked(
    laptop: Device, fresh: dict[str, str], asked: int
) -> None:
    """The history of what is missing is asked for only if it can tell anything."""
    write(laptop, "kept", "kept")
    for text in ("", "old a", "new a"):
        write(laptop, "a", text)
        await sync(laptop)
    before = histories_asked(laptop)
    (laptop.root / "a").unlink()
    for name, text in fresh.items():
        write(laptop, name, text)
    report = await sync(laptop)
    assert report.counts == {"delete": 1, **({"create": 1} if fresh else {})}
    assert histories_asked(laptop) - before == asked


@pytest.mark.parametrize("renamed", [("a",), NAMES])
async def test_who_renames_what_others_delete_has_put_nothing_back(
    renamed: tuple[str, ...], laptop: Device, desktop: Device
) -> None:
    """The bytes are those of the last version, which is no older one: nothing is asked."""
    await grown(laptop, *NAMES, "kept", "deleted here")
    await sync(desktop)
    for name in renamed:
        (desktop.root / name).unlink()
        (laptop.root / name).rename(laptop.root / f"{name} 2")
    async with desktop.opened() as mirror:
        await mirror.sync(allow_mass_delete=True)
    (laptop.root / "deleted here").unlink()

    report = await sync(laptop)

    assert report.counts == {"create": len(renamed), "delete": 1}
    await sync(desktop)
    there = {name for name in NAMES if name not in renamed}
    assert set(texts(desktop)) == {*there, *(f"{name} 2" for name in renamed), "kept"}


async def test_a_file_like_older_ones_of_a_missing_document_is_no_backup(laptop: Device) -> None:
    """Under another name than that document ever had: both were made from a template."""
    for text in ("template", "filled in"):
        write(laptop, "january", text)
        await sync(laptop)
    (laptop.root / "january").unlink()
    write(laptop, "february", "template")
    assert (await sync(laptop)).counts == {"create": 1, "delete": 1}


async def test_a_file_that_is_made_from_a_template_again_may_have_been_put_back(
    laptop: Device,
) -> None:
    """Under a name that a missing document had with these bytes: nothing tells the two apart."""
    write(laptop, "template", "template")
    write(laptop, "today", "template")
    await sync(laptop)
    (laptop.root / "today").rename(laptop.root / "yesterday")
    await sync(laptop)
    write(laptop, "yesterday", "filled in")
    await sync(laptop)
    (laptop.root / "yesterday").unlink()
    write(laptop, "today", "template")
    with pytest.raises(SafetyStop, match="Was a backup put back"):
        await sync(laptop)
    assert (await sync(laptop, "mine")).counts == {"create": 1, "delete": 1}


async def test_a_file_that_takes_the_place_of_its_copy_is_asked_about_alone(
    laptop: Device,
) -> None:
    """It was copied, the copy was edited, and then the file was moved over the copy."""
    for name in ("a", "copy"):
        write(laptop, name, "text")
    await sync(laptop)
    write(laptop, "copy", "edited")
    await sync(laptop)
    (laptop.root / "a").replace(laptop.root / "copy")
    report = await sync(laptop)
    (conflict,) = report.conflicts
    assert texts(laptop) == {"copy": "edited", conflict.copy_path: "text"}


async def test_older_rules_of_what_is_ignored_stop_the_sync_too(
    laptop: Device, desktop: Device
) -> None:
    """Rules are fetched before all else, but what is missing with them still counts."""
    await grown(laptop, ".syncignore", "newer")
    write(laptop, ".syncignore", "old .syncignore")
    (laptop.root / "newer").unlink()
    with pytest.raises(SafetyStop, match="Was a backup put back"):
        await sync(laptop)
    await sync(desktop)
    assert set(texts(desktop)) == {".syncignore", "newer"}


async def test_nothing_is_asked_about_a_folder_that_lost_most_of_its_files(laptop: Device) -> None:
    """The bound on deletions comes before the questions to the server, one for each document."""
    for number in range(12):
        write(laptop, f"{number}", f"{number}")
    await sync(laptop)
    for number in range(12):
        (laptop.root / f"{number}").unlink()
    write(laptop, "stray", "new")
    before = histories_asked(laptop)
    with pytest.raises(SafetyStop, match="12 of 12 files are gone from the folder"):
        await sync(laptop)
    assert histories_asked(laptop) == before
