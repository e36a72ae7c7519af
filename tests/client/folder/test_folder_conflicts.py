"""Conflicts of a folder that are several, or that somebody has worked on meanwhile."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from fixtures.machine import Machine
from fixtures.mirrors import texts, write
from simulation.device import Befalling, Device
from simulation.faults import Fault
from syncapi.client import durable
from syncapi.client.errors import SyncError, Unreachable
from syncapi.client.folder.apply.broken_off import BrokenOff
from syncapi.client.folder.apply.resolver import Resolver
from syncapi.client.folder.disk.disk import Disk
from syncapi.client.folder.disk.trash import Trash
from syncapi.client.folder.memory.conflicts import FolderConflicts
from syncapi.client.folder.memory.ledger import Ledger, PathKeys
from syncapi.client.folder.model import Base, LocalFile, Scan, SkipKind, Skipped
from syncapi.client.folder.plan.actions import Adopt, Create, SetAside
from syncapi.client.folder.reports import FolderConflict, MirrorReport
from syncapi.client.store.store import Store
from syncapi.client.store.tables import Table as StoreTable

COPY = "d/a (conflict 2026-11-26 laptop 0000).txt"
NOW = datetime(2026, 11, 26, tzinfo=UTC)


async def sync(device: Device) -> MirrorReport:
    async with device.opened() as mirror:
        return await mirror.sync()


async def conflicting(laptop: Device, desktop: Device, mine: str, theirs: str) -> None:
    """Edit a file on both sides; the laptop's edit gives way."""
    write(desktop, "a.txt", theirs)
    write(laptop, "a.txt", mine)
    await sync(desktop)
    await sync(laptop)


@pytest.fixture
async def twice(laptop: Device, desktop: Device) -> tuple[Device, dict[str, str]]:
    """A laptop with two open conflicts of one file; the paths of the copies, by their bytes."""
    write(laptop, "a.txt", "as it was")
    await sync(laptop)
    await sync(desktop)
    await conflicting(laptop, desktop, "mine 1", "theirs 1")
    await conflicting(laptop, desktop, "mine 2", "theirs 2")
    return laptop, {text: path for path, text in texts(laptop).items() if "conflict" in path}


class TestWhichIsMeant:
    @pytest.mark.parametrize("mine", ["mine 1", "mine 2"])
    async def test_the_copy_that_is_named(
        self, twice: tuple[Device, dict[str, str]], mine: str
    ) -> None:
        laptop, copies = twice
        async with laptop.opened() as mirror:
            resolved = mirror.resolve(copies[mine], "mine")
            (left,) = mirror.conflicts()
        assert (resolved.copy_path, texts(laptop)["a.txt"]) == (copies[mine], mine)
        assert left.copy_path in copies.values()

    async def test_a_path_that_does_not_tell(self, twice: tuple[Device, dict[str, str]]) -> None:
        laptop, copies = twice
        before = texts(laptop)
        async with laptop.opened() as mirror:
            with pytest.raises(SyncError, match=r"a\.txt has 2 conflicts") as caught:
                mirror.resolve("a.txt", "theirs")
            assert len(mirror.conflicts()) == 2
        assert all(copy in caught.value.message for copy in copies.values())
        assert caught.value.hint == "Name the copy that you mean."
        assert texts(laptop) == before

    async def test_the_server_may_have_it_elsewhere(self, laptop: Device, desktop: Device) -> None:
        write(laptop, "p.txt", "as it was")
        await sync(laptop)
        await sync(desktop)
        (desktop.root / "p.txt").rename(desktop.root / "q.txt")
        await sync(desktop)
        write(desktop, "q.txt", "their edit")
        write(desktop, "p.txt", "another document")
        await sync(desktop)
        write(laptop, "p.txt", "my edit")
        (conflict,) = (await sync(laptop)).conflicts
        assert conflict.path == "q.txt"
        async with laptop.opened() as mirror:
            mirror.resolve("q.txt", "mine")
            await mirror.sync()
        await sync(desktop)
        assert texts(desktop) == {"p.txt": "another document", "q.txt": "my edit"}

    async def test_a_copy_that_was_renamed(self, twice: tuple[Device, dict[str, str]]) -> None:
        laptop, copies = twice
        (laptop.root / copies["mine 1"]).rename(laptop.root / "my own.txt")
        listed = (await sync(laptop)).conflicts
        assert {one.copy_path for one in listed} == {"my own.txt", copies["mine 2"]}
        async with laptop.opened() as mirror:
            mirror.resolve("my own.txt", "theirs")
            assert [one.copy_path for one in mirror.conflicts()] == [copies["mine 2"]]
        assert texts(laptop) == {"a.txt": "theirs 2", copies["mine 2"]: "mine 2"}


async def test_the_sides_are_told_as_a_decision_that_was_broken_off_has_left_them(
    twice: tuple[Device, dict[str, str]],
) -> None:
    laptop, copies = twice
    copy = copies["mine 1"]
    for moment in range(1, 8):
        await laptop.decide(copy, "mine", Befalling(moment))
        if texts(laptop)[copy] == "theirs 2":
            break
    async with laptop.opened() as mirror:
        conflict = mirror.conflict_of(copy)
        assert conflict is not None
        sides = mirror.sides_of(conflict)
    assert [texts(laptop)[path] for path in sides] == ["theirs 2", "mine 1"]
    assert sides == (copy, "a.txt")


def test_the_command_resolves_the_copy_that_is_named(machine: Machine) -> None:
    machine.log_in()
    laptop, desktop = machine.folder("laptop"), machine.folder("desktop")
    (laptop / "a").write_text("as it was")
    assert (machine("sync", laptop).code, machine("sync", desktop).code) == (0, 0)
    for number in "12":
        (desktop / "a").write_text(f"theirs {number}")
        (laptop / "a").write_text(f"mine {number}")
        machine("sync", desktop)
        assert machine("sync", laptop).code == 4
    copies = {path.read_text(): path for path in laptop.glob("a (conflict *")}
    unclear = machine("conflicts", "resolve", laptop / "a", "--keep", "mine", "--no-sync")
    assert (unclear.code, copies["mine 1"].name in unclear.err) == (2, True), unclear.err
    for text, copy in copies.items():
        ran = machine("conflicts", "resolve", copy, "--keep", "mine", "--no-sync")
        assert (ran.code, (laptop / "a").read_text()) == (0, text), ran.err


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    """A folder with a copy in it, and no file at the place that it is a copy of."""
    root = tmp_path / "folder"
    (root / "d").mkdir(parents=True)
    (root / COPY).write_text("mine")
    return Disk(root, Trash(tmp_path / "trash"))


def conflict_at(path: str) -> FolderConflict:
    return FolderConflict(UUID(int=1), path, COPY, None, NOW, "0" * 64, None)


def keep_mine(disk: Disk, folder: Path, path: str = "d/a.txt") -> None:
    """Settle the conflict of a file, with the trash and the state in a folder."""
    with Store.open(folder / "state") as store:
        Ledger(store).put(Base(UUID(int=1), path, NOW, "0" * 64, "d", path))
        conflicts = FolderConflicts(store, PathKeys(store), lambda: NOW)
        broken_off = BrokenOff(disk, conflicts)
        resolving = Resolver(disk, Trash(folder / "trash"), conflicts, broken_off)
        resolving.resolve(conflict_at(path), "mine")


class TestKeepingMine:
    def test_a_save_meanwhile_is_not_lost(
        self, disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Right before the files get each other's names."""
        place, exchange = disk.root / "d/a.txt", durable.exchange
        place.write_text("theirs")
        saves = ["saved just now"]

        def late(one: Path, other: Path) -> bool:
            if saves:
                place.write_text(saves.pop())
            return exchange(one, other)

        monkeypatch.setattr(durable, "exchange", late)
        self._expect_refused(disk, tmp_path)

    def test_a_save_meanwhile_is_not_lost_where_files_cannot_be_exchanged(
        self, disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place, keep = disk.root / "d/a.txt", Trash.keep
        place.write_text("theirs")

        def late(self: Trash, source: Path, path: str) -> Path:
            kept = keep(self, source, path)
            place.write_text("saved just now")
            return kept

        monkeypatch.setattr(durable, "exchange", lambda _one, _other: False)
        monkeypatch.setattr(Trash, "keep", late)
        self._expect_refused(disk, tmp_path)

    def _expect_refused(self, disk: Disk, tmp_path: Path) -> None:
        with pytest.raises(SyncError, match=r"d/a\.txt was written to just now") as caught:
            keep_mine(disk, tmp_path)
        assert caught.value.hint is not None
        assert "repeat" in caught.value.hint
        texts = (disk.root / "d/a.txt").read_text(), (disk.root / COPY).read_text()
        assert texts == ("saved just now", "mine")

    @pytest.mark.parametrize("can_exchange", [True, False])
    def test_what_gives_way_is_in_the_trash(
        self,
        can_exchange: bool,
        disk: Disk,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        (disk.root / "d/a.txt").write_text("theirs")
        if not can_exchange:
            monkeypatch.setattr(durable, "exchange", lambda _one, _other: False)
        keep_mine(disk, tmp_path)
        assert (disk.root / "d/a.txt").read_text() == "mine"
        assert not (disk.root / COPY).exists()
        assert [(t.path, t.place.read_text()) for t in Trash(tmp_path / "trash").files()] == [
            ("d/a.txt", "theirs")
        ]

    def test_a_file_that_comes_meanwhile_is_not_lost(
        self, disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place, move = disk.root / "d/a.txt", durable.move

        def late(source: Path, target: Path) -> None:
            target.write_text("made just now")
            move(source, target)

        monkeypatch.setattr(durable, "move", late)
        with pytest.raises(SyncError, match="was written to just now"):
            keep_mine(disk, tmp_path)
        assert (place.read_text(), (disk.root / COPY).read_text()) == ("made just now", "mine")

    @pytest.mark.parametrize("make", [Path.mkdir, lambda place: place.symlink_to("nowhere")])
    def test_only_a_file_is_replaced(
        self, disk: Disk, tmp_path: Path, make: Callable[[Path], None]
    ) -> None:
        make(disk.root / "d/a.txt")
        with pytest.raises(SyncError, match="is a folder or a link"):
            keep_mine(disk, tmp_path)
        assert (disk.root / COPY).read_text() == "mine"

    def test_a_link_to_a_file_is_not_replaced(self, disk: Disk, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").write_text("not in the folder")
        (disk.root / "d/a.txt").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(SyncError, match="is a folder or a link"):
            keep_mine(disk, tmp_path)
        assert (disk.root / "d/a.txt").is_symlink()

    def test_a_file_on_the_way_is_told(self, disk: Disk, tmp_path: Path) -> None:
        (disk.root / "e").write_text("no folder")
        with pytest.raises(SyncError, match="e is not a folder"):
            keep_mine(disk, tmp_path, "e/a.txt")

    def test_a_name_that_is_free_is_taken(self, disk: Disk, tmp_path: Path) -> None:
        keep_mine(disk, tmp_path, "e/a.txt")
        assert (disk.root / "e/a.txt").read_text() == "mine"


@pytest.fixture
def conflicts(tmp_path: Path) -> Iterator[tuple[FolderConflicts, Ledger]]:
    """One record, of a copy that is not pushed yet."""
    with Store.open(tmp_path / "state") as store:
        kept = FolderConflicts(store, PathKeys(store), lambda: NOW)
        kept.record(SetAside("d/a.txt", COPY, "0" * 64, UUID(int=1)), None)
        yield kept, Ledger(store)


def entry(number: int, path: str) -> Base:
    return Base(UUID(int=number), path, NOW, "0" * 64, "d", path.removeprefix("d/"))


async def conflicting_without_answer(
    laptop: Device, desktop: Device, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    """A conflict whose copy the laptop pushes in vain, as far as it can tell."""
    write(laptop, "a.txt", "as it was")
    await sync(laptop)
    await sync(desktop)

    def breaks_pushes(request: httpx.Request) -> Fault | None:
        is_push = request.method == "POST" and request.url.path.endswith("/documents/sync")
        return fault if is_push else None

    with monkeypatch.context() as patch:
        patch.setattr(laptop.api, "draw", breaks_pushes)
        with pytest.raises(Unreachable):
            await conflicting(laptop, desktop, "mine", "theirs")


class TestWhatIsKept:
    @pytest.mark.parametrize("kind", ["busy", "unreadable", "ignored"])
    @pytest.mark.parametrize("skipped", [COPY, "d"])
    def test_what_the_scan_left_alone(
        self, conflicts: tuple[FolderConflicts, Ledger], kind: SkipKind, skipped: str
    ) -> None:
        kept, _ = conflicts
        kept.keep_only(Scan((), skipped=(Skipped(skipped, kind, "why"),)))
        assert [one.copy_path for one in kept.all()] == [COPY]

    def test_what_is_beside_it_says_nothing(
        self, conflicts: tuple[FolderConflicts, Ledger]
    ) -> None:
        kept, _ = conflicts
        kept.keep_only(Scan((), skipped=(Skipped("d/a", "busy", "why"),)))
        assert kept.all() == []

    def test_a_copy_that_is_renamed_before_it_is_pushed(
        self, conflicts: tuple[FolderConflicts, Ledger]
    ) -> None:
        """Its bytes tell, where they are in a file that is nobody's yet."""
        kept, ledger = conflicts
        files = tuple(
            LocalFile(path, 4, sha256, None, 1, 1)
            for path, sha256 in (("b", "1" * 64), ("other's", "0" * 64), ("renamed", "0" * 64))
        )
        ledger.put(entry(7, "other's"))
        kept.keep_only(Scan(files))
        assert [one.copy_path for one in kept.all()] == ["renamed"]
        kept.pushed(Adopt(UUID(int=2), "renamed", entry(2, "renamed")))
        assert [one.copy_id for one in kept.all()] == [UUID(int=2)]
        kept.keep_only(Scan(()))
        assert kept.all() == []

    async def test_a_renamed_copy_that_could_not_be_pushed(
        self, laptop: Device, desktop: Device, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await conflicting_without_answer(laptop, desktop, monkeypatch, "refused")
        (copy,) = (path for path in texts(laptop) if "conflict" in path)
        (laptop.root / copy).rename(laptop.root / "renamed.txt")
        listed = [*(await sync(laptop)).conflicts, *(await sync(laptop)).conflicts]
        assert [one.copy_path for one in listed] == ["renamed.txt"] * 2
        assert listed[1].copy_id is not None

    async def test_a_file_that_is_renamed_on_the_server(
        self, laptop: Device, desktop: Device
    ) -> None:
        write(laptop, "a.txt", "as it was")
        await sync(laptop)
        await sync(desktop)
        await conflicting(laptop, desktop, "mine", "theirs")
        await sync(desktop)
        (desktop.root / "a.txt").rename(desktop.root / "b.txt")
        await sync(desktop)
        await sync(laptop)
        async with laptop.opened() as mirror:
            (conflict,) = mirror.conflicts()
            assert conflict.path == "b.txt"
            mirror.resolve("b.txt", "mine")
        assert texts(laptop) == {"b.txt": "mine"}

    async def test_a_copy_that_is_ignored_stays_listed(
        self, laptop: Device, desktop: Device
    ) -> None:
        write(laptop, "a.txt", "as it was")
        write(laptop, ".syncignore", "*(conflict *\n")
        await sync(laptop)
        await sync(desktop)
        await conflicting(laptop, desktop, "mine", "theirs")
        for _ in range(2):
            (conflict,) = (await sync(laptop)).conflicts
            assert texts(laptop)[conflict.copy_path] == "mine"

    async def test_a_push_whose_answer_was_lost(
        self, laptop: Device, desktop: Device, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await conflicting_without_answer(laptop, desktop, monkeypatch, "lost")
        report = await sync(laptop)
        (conflict,) = report.conflicts
        assert (report.counts, conflict.copy_id is not None) == ({"adopt": 1}, True)
        (laptop.root / conflict.copy_path).rename(laptop.root / "renamed.txt")
        assert [one.copy_path for one in (await sync(laptop)).conflicts] == ["renamed.txt"]


class TestWhichDocumentTheCopyIs:
    def test_that_which_is_adopted(self, conflicts: tuple[FolderConflicts, Ledger]) -> None:
        kept, ledger = conflicts
        kept.pushed(Adopt(UUID(int=2), COPY, entry(2, COPY)))
        ledger.put(entry(2, "d/renamed.txt"))
        assert [(one.copy_id, one.copy_path) for one in kept.all()] == [
            (UUID(int=2), "d/renamed.txt")
        ]
        assert kept.find("d/renamed.txt") == kept.all()[0]
        assert kept.find(COPY) is None

    def test_no_other_file_that_gets_the_name(
        self, conflicts: tuple[FolderConflicts, Ledger]
    ) -> None:
        kept, _ = conflicts
        for number in (2, 3):
            made = entry(number, COPY)
            kept.pushed(Create(made.id, COPY, made.sha256, "d", made.filename, False, made))
        assert [one.copy_id for one in kept.all()] == [UUID(int=2)]

    def test_no_others_are_read_where_the_copy_is_named(
        self, conflicts: tuple[FolderConflicts, Ledger], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """So a decision takes as long, however many are open."""
        kept, _ = conflicts
        with monkeypatch.context() as patch:
            patch.delattr(StoreTable, "items")
            patch.delattr(StoreTable, "values")
            conflict = kept.find(COPY)
            assert conflict is not None
            assert kept.exchange_of(conflict) is None
            kept.settle(conflict)
        assert kept.all() == []

    def test_it_is_settled_under_its_present_path(
        self, conflicts: tuple[FolderConflicts, Ledger]
    ) -> None:
        kept, ledger = conflicts
        kept.pushed(Adopt(UUID(int=2), COPY, entry(2, COPY)))
        ledger.put(entry(2, "d/renamed.txt"))
        kept.settle(kept.all()[0])
        assert kept.all() == []
