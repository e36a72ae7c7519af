"""A folder and the server, as a person sees them: what a sync does, and what it never does."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from fixtures.mirrors import texts, write
from simulation.device import Device
from simulation.runs import Place
from syncapi.client.api.client import Client
from syncapi.client.errors import SafetyStop, StoreBusy, SyncError, Unreachable
from syncapi.client.folder.factory import open_mirror
from syncapi.client.folder.observe.observer import MirrorOptions
from syncapi.client.folder.reports import MirrorReport
from syncapi.client.store.keys import FileKey
from syncapi.client.store.store import Store


def trash(device: Device) -> list[str]:
    folder = device.state / "trash"
    return sorted(path.read_text() for path in folder.rglob("*") if path.is_file())


async def sync(device: Device, **options: object) -> MirrorReport:
    async with device.opened() as mirror:
        return await mirror.sync(**options)  # type: ignore[arg-type]  # passed through


@pytest.fixture
async def both(laptop: Device, desktop: Device) -> tuple[Device, Device]:
    """Two folders in step, with files in them."""
    for number in range(4):
        write(laptop, f"d/{number}.txt", f"text {number}")
    await sync(laptop)
    await sync(desktop)
    return laptop, desktop


async def test_a_second_sync_has_nothing_to_do(both: tuple[Device, Device]) -> None:
    for device in both:
        report = await sync(device)
        assert (report.done, report.failures, report.bytes_up, report.bytes_down) == ([], [], 0, 0)


async def test_both_folders_get_what_the_other_has(both: tuple[Device, Device]) -> None:
    laptop, desktop = both
    write(laptop, "new.txt", "from the laptop")
    write(desktop, "e/new.txt", "from the desktop")
    (desktop.root / "d/0.txt").unlink()
    (laptop.root / "d/1.txt").rename(laptop.root / "renamed.txt")
    for device in (laptop, desktop, laptop):
        await sync(device)
    assert texts(laptop) == texts(desktop)
    assert texts(laptop) == {
        "d/2.txt": "text 2",
        "d/3.txt": "text 3",
        "e/new.txt": "from the desktop",
        "new.txt": "from the laptop",
        "renamed.txt": "text 1",
    }
    assert trash(laptop) == ["text 0"]


async def test_a_rename_is_no_new_document(both: tuple[Device, Device]) -> None:
    laptop, desktop = both
    async with laptop.opened() as mirror:
        before = {entry.path: entry.id for entry in mirror.entries()}
    (laptop.root / "d").rename(laptop.root / "another name")
    report = await sync(laptop)
    assert report.counts == {"update": 4}
    assert report.bytes_up == 0
    assert (await sync(desktop)).counts == {"move": 4}
    async with desktop.opened() as mirror:
        after = {entry.path: entry.id for entry in mirror.entries()}
    assert after == {path.replace("d/", "another name/", 1): i for path, i in before.items()}
    assert not (desktop.root / "d").exists()


async def test_bytes_that_are_here_are_not_fetched(both: tuple[Device, Device]) -> None:
    laptop, desktop = both
    write(laptop, "copy.txt", "text 0")
    assert (await sync(laptop)).counts == {"create": 1}
    report = await sync(desktop)
    assert (report.counts, report.bytes_down) == ({"download": 1}, 0)
    assert texts(desktop)["copy.txt"] == "text 0"


async def test_equal_bytes_are_fetched_once(both: tuple[Device, Device]) -> None:
    laptop, desktop = both
    for number in range(5):
        write(laptop, f"copy {number}", "the same bytes")
    await sync(laptop)
    report = await sync(desktop)
    assert report.counts == {"download": 5}
    assert report.bytes_down == len("the same bytes")


class TestConflicts:
    async def test_both_versions_are_files_everywhere(self, both: tuple[Device, Device]) -> None:
        laptop, desktop = both
        write(desktop, "d/0.txt", "on the desktop")
        write(laptop, "d/0.txt", "on the laptop")
        await sync(desktop)
        report = await sync(laptop)
        (conflict,) = report.conflicts
        assert (conflict.path, texts(laptop)["d/0.txt"]) == ("d/0.txt", "on the desktop")
        assert conflict.copy_path.startswith("d/0 (conflict 2026-11-26 laptop ")
        assert texts(laptop)[conflict.copy_path] == "on the laptop"
        await sync(desktop)
        assert texts(desktop) == texts(laptop)
        assert (await sync(laptop)).conflicts == [conflict]  # until somebody decides

    @pytest.mark.parametrize(
        ("keep", "text", "is_copy_left"),
        [
            ("mine", "on the laptop", False),
            ("theirs", "on the desktop", False),
            ("both", "on the desktop", True),
        ],
    )
    async def test_it_is_resolved_everywhere(
        self, keep: str, text: str, is_copy_left: bool, both: tuple[Device, Device]
    ) -> None:
        laptop, desktop = both
        write(desktop, "d/0.txt", "on the desktop")
        write(laptop, "d/0.txt", "on the laptop")
        await sync(desktop)
        (conflict,) = (await sync(laptop)).conflicts
        async with laptop.opened() as mirror:
            mirror.resolve("d/0.txt", keep)  # type: ignore[arg-type]  # a parameter of the test
            report = await mirror.sync()
        assert (report.conflicts, report.failures) == ([], [])
        await sync(desktop)
        for device in both:
            assert texts(device)["d/0.txt"] == text
            assert (conflict.copy_path in texts(device)) is is_copy_left
        if keep == "mine":
            assert "on the desktop" in trash(laptop)

    async def test_deleting_the_copy_by_hand_settles_it(self, both: tuple[Device, Device]) -> None:
        laptop, desktop = both
        write(desktop, "d/0.txt", "on the desktop")
        write(laptop, "d/0.txt", "on the laptop")
        await sync(desktop)
        (conflict,) = (await sync(laptop)).conflicts
        (laptop.root / conflict.copy_path).unlink()
        await sync(laptop)
        assert (await sync(laptop)).conflicts == []

    async def test_the_same_edit_is_none(self, both: tuple[Device, Device]) -> None:
        for device in both:
            write(device, "d/0.txt", "the same")
        await sync(both[0])
        report = await sync(both[1])
        assert (report.conflicts, report.counts) == ([], {"adopt": 1})

    async def test_an_edit_survives_a_deletion(self, both: tuple[Device, Device]) -> None:
        laptop, desktop = both
        (laptop.root / "d/0.txt").unlink()
        (desktop.root / "d/1.txt").unlink()
        write(desktop, "d/0.txt", "edited")
        write(laptop, "d/1.txt", "edited too")
        for device in (laptop, desktop, laptop):
            await sync(device)
        for device in both:
            assert texts(device)["d/0.txt"] == "edited"
            assert texts(device)["d/1.txt"] == "edited too"

    async def test_there_is_none_to_resolve(self, both: tuple[Device, Device]) -> None:
        async with both[0].opened() as mirror:
            with pytest.raises(SyncError, match=r"d/0\.txt has no conflict"):
                mirror.resolve("d/0.txt", "mine")


class TestSafety:
    async def test_an_emptied_folder_empties_nothing(self, both: tuple[Device, Device]) -> None:
        laptop, desktop = both
        for path in laptop.tree():
            (laptop.root / path).unlink()
        with pytest.raises(SafetyStop, match="The folder is empty"):
            await sync(laptop)
        assert (await sync(desktop)).done == []
        dry = await sync(laptop, restore_missing=True, dry_run=True)
        assert dry.pending is not None
        assert [type(action).__name__ for action in dry.pending.actions] == ["Download"] * 4
        with pytest.raises(SafetyStop):  # it was only asked for
            await sync(laptop)
        report = await sync(laptop, restore_missing=True)
        assert report.counts == {"download": 4}
        assert texts(laptop) == texts(desktop)

    async def test_a_missing_folder_stops(self, both: tuple[Device, Device]) -> None:
        laptop, desktop = both
        laptop.root.rename(laptop.root.with_name("elsewhere"))
        with pytest.raises(SafetyStop, match="is not there"):
            await sync(laptop, allow_mass_delete=True)
        assert not laptop.root.exists()
        assert (await sync(desktop)).done == []

    async def test_a_mass_delete_is_asked_for(self, laptop: Device, desktop: Device) -> None:
        for number in range(20):
            write(laptop, f"{number}.txt", f"{number}")
        await sync(laptop)
        await sync(desktop)
        for number in range(11):
            (laptop.root / f"{number}.txt").unlink()
        with pytest.raises(SafetyStop, match="11 of 20 files are gone from the folder"):
            await sync(laptop)
        assert len(texts(desktop)) == 20
        assert (await sync(laptop, allow_mass_delete=True)).counts == {"delete": 11}
        with pytest.raises(SafetyStop, match="11 of 20 files are gone from the server"):
            await sync(desktop)
        assert len(texts(desktop)) == 20
        assert (await sync(desktop, allow_mass_delete=True)).counts == {"trash": 11}
        assert len(trash(desktop)) == 11

    async def test_one_process_at_a_time(self, laptop: Device) -> None:
        async with laptop.opened():
            with pytest.raises(StoreBusy):
                await asyncio.to_thread(lambda: asyncio.run(sync(laptop)))

    async def test_a_link_is_neither_followed_nor_sent(
        self, laptop: Device, tmp_path: Path
    ) -> None:
        secret = tmp_path / "secret"
        secret.write_text("secret")
        (laptop.root / "link").symlink_to(secret)
        (laptop.root / "folder").symlink_to(tmp_path)
        async with laptop.opened() as mirror:
            assert (await mirror.sync()).done == []
            assert [path for path, _ in await mirror.ignored()] == ["folder", "link"]


def waiting(report: MirrorReport) -> list[tuple[str, str]]:
    """What a sync left to the other direction."""
    assert report.pending is not None
    return [(pending.path, pending.kind) for pending in report.pending.pending]


class TestWays:
    async def test_a_dry_run_says_what_a_sync_then_does(self, both: tuple[Device, Device]) -> None:
        laptop, desktop = both
        write(desktop, "d/0.txt", "edited")
        await sync(desktop)
        write(laptop, "new.txt", "new")
        (laptop.root / "d/1.txt").rename(laptop.root / "moved.txt")
        before = texts(laptop)
        dry = await sync(laptop, dry_run=True)
        assert (texts(laptop), dry.done) == (before, [])
        assert dry.pending is not None
        wet = await sync(laptop)
        planned = [(a.name, a.path) for a in dry.pending.actions]
        assert planned == [(done.action, done.path) for done in wet.done]

    async def test_pulling_pushes_nothing(self, both: tuple[Device, Device]) -> None:
        laptop, desktop = both
        write(laptop, "d/0.txt", "mine")
        write(laptop, "new.txt", "mine")
        (laptop.root / "d/1.txt").unlink()
        write(desktop, "d/2.txt", "theirs")
        await sync(desktop)
        pulled = await sync(laptop, direction="pull")
        assert pulled.counts == {"download": 1}
        assert waiting(pulled) == [
            ("d/0.txt", "update"),
            ("d/1.txt", "delete"),
            ("new.txt", "create"),
        ]
        assert (await sync(desktop)).done == []
        assert texts(laptop)["d/0.txt"] == "mine"
        assert (await sync(laptop)).counts == {"update": 1, "create": 1, "delete": 1}

    @pytest.mark.parametrize("how", [{"restore_missing": True}, {"went_back": "theirs"}])
    async def test_pulling_fetches_what_is_missing_if_that_is_asked_for(
        self, how: dict[str, Any], both: tuple[Device, Device]
    ) -> None:
        laptop, desktop = both
        before = texts(laptop)
        (laptop.root / "d/1.txt").unlink()
        pulled = await sync(laptop, direction="pull", **how)
        assert pulled.counts == {"download": 1}
        assert texts(laptop) == before
        assert (await sync(laptop)).done == []
        assert (await sync(desktop)).done == []

    async def test_pushing_changes_nothing_here(self, both: tuple[Device, Device]) -> None:
        laptop, desktop = both
        write(desktop, "d/0.txt", "theirs")
        (desktop.root / "d/1.txt").unlink()
        await sync(desktop)
        write(laptop, "d/2.txt", "mine")
        before = texts(laptop)
        pushed = await sync(laptop, direction="push")
        assert pushed.counts == {"update": 1}
        assert waiting(pushed) == [("d/0.txt", "download"), ("d/1.txt", "trash")]
        assert texts(laptop) == before
        assert (await sync(laptop)).counts == {"download": 1, "trash": 1}

    async def test_what_is_ignored_is_left_alone(self, both: tuple[Device, Device]) -> None:
        laptop, desktop = both
        write(laptop, ".syncignore", "*.log\nbuild/\n!keep.log\nd/0.txt\n")
        write(laptop, "a.log", "log")
        write(laptop, "build/x", "x")
        write(laptop, "keep.log", "kept")
        (laptop.root / "d/0.txt").unlink()  # was in step, and is ignored now
        await sync(laptop)
        await sync(desktop)
        assert {"a.log", "build/x"}.isdisjoint(texts(desktop))
        assert {"keep.log", ".syncignore", "d/0.txt"} <= texts(desktop).keys()

    async def test_files_that_are_there_already_are_adopted(
        self, both: tuple[Device, Device], laptop: Device
    ) -> None:
        laptop.state = laptop.state.with_name("new state")
        assert (await sync(laptop)).counts == {"adopt": 4}
        assert (await sync(both[1])).done == []

    async def test_a_check_reads_every_byte(self, both: tuple[Device, Device]) -> None:
        laptop = both[0]
        status = (laptop.root / "d/0.txt").stat()
        write(laptop, "d/0.txt", "tEXT 0")  # neither size nor time tells
        os.utime(laptop.root / "d/0.txt", ns=(status.st_atime_ns, status.st_mtime_ns))
        (laptop.root / "d/1.txt").unlink()
        write(laptop, "extra.txt", "extra")
        async with laptop.opened() as mirror:
            report = await mirror.check()
        assert {one.path: one.state for one in report.files} == {
            "d/0.txt": "different",
            "d/1.txt": "missing",
            "d/2.txt": "ok",
            "d/3.txt": "ok",
            "extra.txt": "extra",
        }

    async def test_an_encrypted_state(self, place: Place, laptop: Device, tmp_path: Path) -> None:
        write(laptop, "d/secret name.txt", "secret text")
        key = FileKey(tmp_path / "key")
        client = Client(place.url, place.tenant_id, place.token)
        async with (
            client,
            open_mirror(
                laptop.root, laptop.state, client, MirrorOptions("laptop"), key=key
            ) as mirror,
        ):
            assert (await mirror.sync()).counts == {"create": 1}
            assert (await mirror.sync()).done == []
        raw = b"".join(p.read_bytes() for p in laptop.state.rglob("*") if p.is_file())
        assert b"secret name" not in raw
        with Store.open(laptop.state, key=key) as store:
            assert store.is_encrypted


class TestTrouble:
    async def test_one_failure_does_not_stop_the_others(self, both: tuple[Device, Device]) -> None:
        laptop, desktop = both
        write(laptop, "blocked/a.txt", "a")
        write(laptop, "b.txt", "b")
        await sync(laptop)
        write(desktop, "blocked", "a file where a folder would go")
        report = await sync(desktop)
        assert texts(desktop)["b.txt"] == "b"
        assert [problem.code for problem in report.problems] == ["file_in_the_way"]
        (desktop.root / "blocked").unlink()
        await sync(desktop)
        assert texts(desktop)["blocked/a.txt"] == "a"

    async def test_no_server_is_told_as_that(self, both: tuple[Device, Device]) -> None:
        laptop = both[0]
        write(laptop, "new.txt", "new")
        laptop.api.rate = 1.0
        laptop.api.only = "refused"
        with pytest.raises(Unreachable):
            await sync(laptop)
        laptop.api.rate, laptop.api.only = 0.0, None
        assert (await sync(laptop)).counts == {"create": 1}
