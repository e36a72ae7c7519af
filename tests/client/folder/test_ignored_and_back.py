"""Documents whose places are ignored for a while, or that move in and out of such places.

To ignore a file deletes nothing, on either side, and every document with a visible place is kept
in step there.
"""

import shutil
from uuid import UUID

import pytest

from fixtures.mirrors import note_paths, texts, write
from simulation.crashes import Crashed
from simulation.device import Befalling, Device
from syncapi.client.api.client import Client
from syncapi.client.errors import Unreachable
from syncapi.client.folder.disk.disk import Disk, Identity
from syncapi.client.folder.reports import MirrorReport
from syncapi.protocol.documents import DocumentChanges

ARCHIVE = {f"archive/{number}.txt": f"text {number}" for number in range(5)}


async def sync(device: Device) -> MirrorReport:
    async with device.opened() as mirror:
        return await mirror.sync()


async def come_to_rest(*devices: Device) -> None:
    """Sync each until none has anything to do."""
    for _ in range(6):
        reports = [await sync(device) for device in devices]
        assert [report.failures for report in reports if report.failures] == []
        if not any(report.done for report in reports):
            return
    raise AssertionError("no rest")


def ignore(device: Device, *patterns: str) -> None:
    write(device, ".syncignore", "".join(f"{pattern}\n" for pattern in patterns))


def kept(device: Device) -> dict[str, str]:
    """The files but for the rules."""
    return {path: text for path, text in texts(device).items() if path != ".syncignore"}


@pytest.fixture
async def both(laptop: Device, desktop: Device) -> tuple[Device, Device]:
    """Two folders in step, with an archive."""
    for path, text in ARCHIVE.items():
        write(laptop, path, text)
    write(laptop, "note.txt", "a note")
    await come_to_rest(laptop, desktop)
    return laptop, desktop


class TestThePatternIsTakenOut:
    """After the desktop has ignored the archive, in step, and then does so no more."""

    @pytest.fixture
    async def ignoring(self, both: tuple[Device, Device]) -> tuple[Device, Device]:
        ignore(both[1], "archive/")
        assert (await sync(both[1])).counts == {"create": 1}
        return both

    async def unignored(self, devices: tuple[Device, Device], how: str) -> None:
        laptop, desktop = devices
        match how:
            case "taken out":
                ignore(desktop, "nothing else")
            case "file deleted":
                (desktop.root / ".syncignore").unlink()
            case "taken out by the other":
                await come_to_rest(laptop)
                ignore(laptop, "nothing else")
                await sync(laptop)
            case "file deleted by the other":
                await come_to_rest(laptop)
                (laptop.root / ".syncignore").unlink()
                await sync(laptop)
        await come_to_rest(desktop, laptop)

    @pytest.mark.parametrize(
        "how",
        ["taken out", "file deleted", "taken out by the other", "file deleted by the other"],
    )
    async def test_what_is_missing_is_fetched(
        self, how: str, ignoring: tuple[Device, Device]
    ) -> None:
        laptop, desktop = ignoring
        shutil.rmtree(desktop.root / "archive")
        assert (await sync(desktop)).done == []
        await self.unignored(ignoring, how)
        assert kept(laptop) == kept(desktop) == {**ARCHIVE, "note.txt": "a note"}

    async def test_what_is_missing_is_fetched_though_no_sync_came_through(
        self, ignoring: tuple[Device, Device]
    ) -> None:
        laptop, desktop = ignoring
        ignore(desktop, "archive/", "note.txt")
        (desktop.root / "note.txt").unlink()
        desktop.api.only, desktop.api.rate = "refused", 1.0
        with pytest.raises(Unreachable):
            await sync(desktop)
        desktop.api.rate, desktop.api.only = 0.0, None
        ignore(desktop, "archive/")
        await come_to_rest(desktop, laptop)
        assert kept(laptop)["note.txt"] == kept(desktop)["note.txt"] == "a note"

    async def test_an_interrupted_fetch_goes_on(self, ignoring: tuple[Device, Device]) -> None:
        laptop, desktop = ignoring
        shutil.rmtree(desktop.root / "archive")
        await sync(desktop)
        ignore(desktop, "nothing else")
        for moment in (20, 25, 30, 35):
            await desktop.sync(Befalling(moment))
        await come_to_rest(desktop, laptop)
        assert kept(laptop) == kept(desktop) == {**ARCHIVE, "note.txt": "a note"}

    async def test_what_is_deleted_once_it_was_seen_again_is_deleted(
        self, ignoring: tuple[Device, Device]
    ) -> None:
        laptop, desktop = ignoring
        await self.unignored(ignoring, "taken out")
        (desktop.root / "archive/0.txt").unlink()
        assert (await sync(desktop)).counts == {"delete": 1}
        await come_to_rest(laptop)
        assert "archive/0.txt" not in kept(laptop)

    async def test_what_was_deleted_there_meanwhile_is_pushed_again(
        self, ignoring: tuple[Device, Device], client: Client
    ) -> None:
        laptop, desktop = ignoring
        await client.delete_document(await document_at(laptop, "archive/0.txt"))
        await sync(desktop)
        await self.unignored(ignoring, "taken out")
        assert kept(laptop) == kept(desktop) == {**ARCHIVE, "note.txt": "a note"}

    async def test_what_is_deleted_there_just_then_is_pushed_again(
        self, ignoring: tuple[Device, Device], client: Client
    ) -> None:
        laptop, desktop = ignoring
        await sync(desktop)
        await client.delete_document(await document_at(laptop, "archive/0.txt"))
        await self.unignored(ignoring, "taken out")
        assert kept(laptop) == kept(desktop) == {**ARCHIVE, "note.txt": "a note"}

    async def test_edits_of_meanwhile_are_exchanged(self, ignoring: tuple[Device, Device]) -> None:
        laptop, desktop = ignoring
        write(desktop, "archive/0.txt", "edited on the desktop")
        write(laptop, "archive/1.txt", "edited on the laptop")
        for number in (2, 3):
            write(laptop, f"archive/{number}.txt", f"on the laptop {number}")
        write(desktop, "archive/2.txt", "on the desktop")
        (desktop.root / "archive/3.txt").unlink()
        (laptop.root / ".syncignore").unlink(missing_ok=True)
        async with laptop.opened() as mirror:  # before it gets the rules
            await mirror.sync(direction="push")
        await sync(desktop)
        await self.unignored(ignoring, "taken out")
        assert kept(laptop) == kept(desktop)
        found = kept(desktop)
        assert found["archive/0.txt"] == "edited on the desktop"
        assert found["archive/1.txt"] == "edited on the laptop"
        assert found["archive/2.txt"] == "on the laptop 2"
        assert found["archive/3.txt"] == "on the laptop 3"
        (copy,) = (path for path in found if "conflict" in path)
        assert found[copy] == "on the desktop"

    async def test_a_file_in_place_of_the_folder_deletes_nothing(
        self, ignoring: tuple[Device, Device]
    ) -> None:
        laptop, desktop = ignoring
        shutil.rmtree(desktop.root / "archive")
        await sync(desktop)
        write(desktop, "archive", "a file by now")
        ignore(desktop, "nothing else")
        report = await sync(desktop)
        assert {problem.code for problem in report.problems} == {"file_in_the_way"}
        await sync(laptop)
        assert kept(laptop).keys() >= ARCHIVE.keys()
        (desktop.root / "archive").unlink()
        await come_to_rest(desktop, laptop)
        assert kept(laptop) == kept(desktop) == {**ARCHIVE, "note.txt": "a note"}

    async def test_a_file_that_was_moved_meanwhile_is_known(
        self, ignoring: tuple[Device, Device]
    ) -> None:
        laptop, desktop = ignoring
        before = await document_at(laptop, "archive/0.txt")
        (desktop.root / "archive/0.txt").rename(desktop.root / "archive/zero.txt")
        await sync(desktop)
        await self.unignored(ignoring, "taken out")
        assert await document_at(laptop, "archive/zero.txt") == before
        assert "archive/0.txt" not in kept(laptop)


async def document_at(device: Device, path: str) -> UUID:
    async with device.opened() as mirror:
        entry = mirror.find(path)
    assert entry is not None
    return entry.id


class TestADocumentMoves:
    """Into an ignored place or out of it, by somebody here or elsewhere."""

    @pytest.fixture
    async def ignoring(self, both: tuple[Device, Device]) -> tuple[Device, Device]:
        ignore(both[0], "archive/")
        await come_to_rest(*both)
        return both

    async def test_out_of_it_there(self, ignoring: tuple[Device, Device], client: Client) -> None:
        laptop, desktop = ignoring
        moved = await document_at(laptop, "archive/0.txt")
        await client.change_document(moved, DocumentChanges(folder="", filename="out.txt"))
        await come_to_rest(laptop, desktop)
        write(laptop, "out.txt", "edited on the laptop")
        await come_to_rest(laptop, desktop)
        assert kept(desktop)["out.txt"] == "edited on the laptop"
        write(desktop, "out.txt", "edited on the desktop")
        await come_to_rest(desktop, laptop)
        assert kept(laptop)["out.txt"] == "edited on the desktop"
        assert await document_at(desktop, "out.txt") == moved

    async def test_into_it_there(self, ignoring: tuple[Device, Device], client: Client) -> None:
        laptop, desktop = ignoring
        note = await document_at(laptop, "note.txt")
        write(desktop, "note.txt", "edited on the desktop")
        changes = DocumentChanges(folder="archive", filename="note.txt")
        await client.change_document(note, changes)
        await come_to_rest(laptop, desktop)
        for device in ignoring:
            assert "note.txt" not in kept(device)
        document = await client.document(note)
        assert (document.folder, document.filename) == ("archive", "note.txt")
        assert document.file.file_size == len("edited on the desktop")
        await client.change_document(note, DocumentChanges(folder="", filename="back.txt"))
        await come_to_rest(laptop, desktop)
        assert kept(laptop)["back.txt"] == kept(desktop)["back.txt"] == "edited on the desktop"

    async def test_out_of_it_here(self, ignoring: tuple[Device, Device]) -> None:
        laptop, desktop = ignoring
        moved = await document_at(laptop, "archive/0.txt")
        (laptop.root / "archive/0.txt").rename(laptop.root / "out.txt")
        assert (await sync(laptop)).counts == {"update": 1}
        await come_to_rest(desktop, laptop)
        write(desktop, "out.txt", "edited on the desktop")
        await come_to_rest(desktop, laptop)
        assert kept(laptop)["out.txt"] == "edited on the desktop"
        assert await document_at(desktop, "out.txt") == moved

    async def test_a_copy_out_of_it_is_a_new_document(
        self, ignoring: tuple[Device, Device], client: Client
    ) -> None:
        laptop = ignoring[0]
        original = await document_at(laptop, "archive/0.txt")
        shutil.copyfile(laptop.root / "archive/0.txt", laptop.root / "copy.txt")
        assert (await sync(laptop)).counts == {"create": 1}
        assert (await client.document(original)).folder == "archive"

    async def test_into_it_here(self, ignoring: tuple[Device, Device]) -> None:
        """It is gone from what is kept in step, as when it is moved out of the folder."""
        laptop, desktop = ignoring
        (laptop.root / "note.txt").rename(laptop.root / "archive/note.txt")
        assert (await sync(laptop)).counts == {"delete": 1}
        await come_to_rest(desktop, laptop)
        assert "note.txt" not in kept(desktop)
        assert kept(laptop)["archive/note.txt"] == "a note"

    async def test_into_it_there_while_it_is_deleted_here(
        self, ignoring: tuple[Device, Device], client: Client
    ) -> None:
        laptop = ignoring[0]
        note = await document_at(laptop, "note.txt")
        (laptop.root / "note.txt").unlink()
        changes = DocumentChanges(folder="archive", filename="note.txt")
        await client.change_document(note, changes)
        await come_to_rest(laptop)
        assert (await client.document(note)).folder == "archive"

    async def test_into_it_there_while_both_edit(
        self, ignoring: tuple[Device, Device], client: Client
    ) -> None:
        laptop, desktop = ignoring
        note = await document_at(laptop, "note.txt")
        write(desktop, "note.txt", "edited on the desktop")
        await sync(desktop)
        changes = DocumentChanges(folder="archive", filename="note.txt")
        await client.change_document(note, changes)
        write(laptop, "note.txt", "edited on the laptop")
        await come_to_rest(laptop, desktop)
        assert kept(laptop)["note.txt"] == kept(desktop)["note.txt"] == "edited on the laptop"
        document = await client.document(note)
        assert document.file.file_size == len("edited on the desktop")

    async def test_the_folder_of_a_visible_one_is_ignored_by_a_new_pattern_and_back(
        self, ignoring: tuple[Device, Device], client: Client
    ) -> None:
        laptop, desktop = ignoring
        ignore(laptop, "archive/", "note.txt")
        await come_to_rest(laptop, desktop)
        note = await document_at(laptop, "note.txt")
        await client.change_document(note, DocumentChanges(folder="seen", filename="n.txt"))
        await come_to_rest(laptop, desktop)
        assert kept(laptop)["seen/n.txt"] == kept(desktop)["seen/n.txt"] == "a note"
        assert kept(laptop)["note.txt"] == "a note", "what is ignored is left alone"

    async def test_a_folder_that_is_ignored_in_place_of_a_file_is_told(
        self, laptop: Device, client: Client
    ) -> None:
        write(laptop, "build", "a file")
        ignore(laptop, "build/")
        await come_to_rest(laptop)
        (laptop.root / "build").unlink()
        write(laptop, "build/out.o", "built")
        report = await sync(laptop)
        assert [problem.code for problem in report.problems] == ["folder_in_the_way"]
        assert {d.filename for d in (await client.documents()).documents} == {
            "build",
            ".syncignore",
        }


class TestAnAllowList:
    async def test_the_rules_themselves_are_kept_in_step(
        self, laptop: Device, desktop: Device
    ) -> None:
        ignore(laptop, "*", "!a.txt")
        for name in ("a.txt", "b.txt"):
            write(laptop, name, name)
        await come_to_rest(laptop, desktop)
        assert texts(desktop).keys() == {".syncignore", "a.txt"}

    @pytest.mark.parametrize("is_noted", [False, True])
    async def test_a_crash_amid_a_swap_of_names_is_mended(
        self,
        is_noted: bool,
        laptop: Device,
        desktop: Device,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        ignore(laptop, "*", "!a.txt", "!b.txt")
        for name in ("a.txt", "b.txt"):
            write(laptop, name, name)
        await come_to_rest(laptop, desktop)
        (laptop.root / "a.txt").rename(laptop.root / "between")
        (laptop.root / "b.txt").rename(laptop.root / "a.txt")
        (laptop.root / "between").rename(laptop.root / "b.txt")
        await sync(laptop)
        move = Disk.move
        moved: list[str] = []

        def crashing(disk: Disk, source: str, identity: Identity, target: str) -> None:
            if moved:
                raise Crashed
            move(disk, source, identity, target)
            moved.append(target)
            if not is_noted:
                raise Crashed

        with monkeypatch.context() as patched:
            patched.setattr(Disk, "move", crashing)
            with pytest.raises(Crashed):
                await sync(desktop)
        assert ["(moving " in path for path in moved] == [True]
        await come_to_rest(desktop, laptop)
        assert kept(desktop) == kept(laptop) == {"a.txt": "b.txt", "b.txt": "a.txt"}


async def test_what_is_fetched_after_it_was_ignored_is_not_looked_up_in_the_history(
    both: tuple[Device, Device], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has deleted it, however many files there are."""
    laptop, _ = both
    ignore(laptop, "archive/")
    await sync(laptop)
    shutil.rmtree(laptop.root / "archive")
    await sync(laptop)
    ignore(laptop, "*.tmp")
    asked = note_paths(laptop, monkeypatch)

    assert (await sync(laptop)).counts["download"] == len(ARCHIVE)

    histories = [path for path in asked if path.endswith("/history")]
    assert len(histories) == 1  # of the rules, which were edited
