"""A decision about a conflict is broken off, and the next one does what it says all the same."""

import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count, product
from pathlib import Path
from typing import Final, Literal
from uuid import UUID

import pytest

from simulation.crashes import Crashed, crash_at
from syncapi.client import durable
from syncapi.client.errors import SyncError
from syncapi.client.folder.apply.broken_off import BrokenOff
from syncapi.client.folder.apply.resolver import Resolver
from syncapi.client.folder.disk import exchanges
from syncapi.client.folder.disk.disk import Disk
from syncapi.client.folder.disk.exchanges import Exchange, FileNumber
from syncapi.client.folder.disk.trash import Trash
from syncapi.client.folder.memory.conflicts import FolderConflicts
from syncapi.client.folder.memory.ledger import Ledger, PathKeys
from syncapi.client.folder.model import Base
from syncapi.client.folder.plan.actions import Download, SetAside
from syncapi.client.store.store import Store

Keep = Literal["mine", "theirs", "both"]
KEEPS: Final[tuple[Keep, ...]] = ("mine", "theirs", "both")
NOW = datetime(2026, 11, 26, tzinfo=UTC)
MOMENTS: Final = range(1, 10)
"""More than any decision has."""


@dataclass
class Table:
    """A file and the copy that was set aside from it, each of which says whose it is."""

    folder: Path

    def __post_init__(self) -> None:
        self.root = self.folder / "root"
        self.root.mkdir(parents=True)
        self.file, self.copy = self.root / "a", self.root / "a (conflict)"
        self.file.write_text("theirs")
        self.copy.write_text("mine")
        self.trash = Trash(self.folder / "trash")
        with Store.open(self.folder / "state") as store:
            Ledger(store).put(Base(UUID(int=1), "a", NOW, _sha256("theirs"), "", "a"))
            self._conflicts(store).record(
                SetAside("a", self.copy.name, _sha256("mine"), UUID(int=1)), _download("theirs")
            )

    def _conflicts(self, store: Store) -> FolderConflicts:
        return FolderConflicts(store, PathKeys(store), lambda: NOW)

    def decide(self, keep: Keep) -> None:
        """As a process of its own does."""
        with Store.open(self.folder / "state") as store:
            conflicts = self._conflicts(store)
            (conflict,) = conflicts.all()
            self._resolving(conflicts).resolve(conflict, keep)
            conflicts.settle(conflict)

    def note_exchange(self, exchange: Exchange) -> None:
        with Store.open(self.folder / "state") as store:
            conflicts = self._conflicts(store)
            (conflict,) = conflicts.all()
            conflicts.note_exchange(conflict, exchange)

    def is_turned(self) -> bool | None:
        with Store.open(self.folder / "state") as store:
            conflicts = self._conflicts(store)
            (conflict,) = conflicts.all()
            return BrokenOff(Disk(self.root, self.trash), conflicts).is_turned(conflict)

    def _resolving(self, conflicts: FolderConflicts) -> Resolver:
        disk = Disk(self.root, self.trash)
        return Resolver(disk, self.trash, conflicts, BrokenOff(disk, conflicts))

    def files(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in self.root.iterdir()}

    def all_texts(self) -> set[str]:
        """Of the folder and the trash."""
        return {*self.files().values(), *(file.place.read_text() for file in self.trash.files())}


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _download(text: str) -> Download:
    sha256 = _sha256(text)
    return Download(
        UUID(int=1), "a", sha256, len(text), None, Base(UUID(int=1), "a", NOW, sha256, "", "a")
    )


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Table]:
    """As many as are wanted; no power is cut, so that nothing waits for the disk."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
    return (Table(tmp_path / f"{number}") for number in range(10_000))


def leave(path: Path) -> None:
    """Change nothing."""


def append(path: Path) -> None:
    with path.open("a") as stream:
        stream.write(", edited")


def save_anew(path: Path) -> None:
    """As editors do: a new file takes the name of the old one."""
    new = path.with_name("new")
    new.write_text(f"{path.read_text()}, saved anew")
    new.replace(path)


def broken_off(table: Table, keep: Keep, moment: int) -> bool:
    """End a decision right before one of its changes of the disk; say whether it has so many."""
    with crash_at(moment, is_after=False):
        try:
            table.decide(keep)
        except Crashed:
            return True
    return False


EDITS: Final[tuple[tuple[Callable[[Path], None], Callable[[Path], None]], ...]] = (
    (leave, leave),
    (leave, append),
    (leave, save_anew),
    (append, append),
    (save_anew, append),
)
"""Of the file, and of the copy."""


@pytest.mark.parametrize("again", KEEPS)
@pytest.mark.parametrize("at_first", ["mine", "theirs"])
def test_at_any_moment_and_with_an_edit_of_either_file(
    at_first: Keep, again: Keep, tables: Iterator[Table]
) -> None:
    seen = set()
    for moment, (of_file, of_copy) in product(MOMENTS, EDITS):
        table = next(tables)
        if not broken_off(table, at_first, moment):
            continue
        seen.add(tuple(sorted(table.files().items())))
        if not table.copy.exists():
            _expect_nothing_is_done(table, again)
            continue
        is_turned = table.file.read_text() == "mine"
        of_file(table.file)
        of_copy(table.copy)
        mine, theirs = table.copy.read_text(), table.file.read_text()
        if is_turned:
            mine, theirs = theirs, mine
        assert table.is_turned() is is_turned
        table.decide(again)
        expected = {"a": mine if again == "mine" else theirs}
        if again == "both":
            expected[table.copy.name] = mine
        assert table.files() == expected, (moment, of_file, of_copy)
        assert {mine, theirs} <= table.all_texts()
    turned = (("a", "mine"), ("a (conflict)", "theirs"))
    assert (turned in seen) is (at_first == "mine")


def _expect_nothing_is_done(table: Table, again: Keep) -> None:
    """The rest was done before the process ended, except for the note of it."""
    before = table.files()
    with pytest.raises(SyncError, match="is not there any more"):
        table.decide(again)
    assert table.files() == before
    assert table.all_texts() == {"mine", "theirs"}


@pytest.fixture
def turned(tables: Iterator[Table]) -> Table:
    """A process was killed between the names and the trash."""
    for table, moment in zip(tables, MOMENTS, strict=False):
        assert broken_off(table, "mine", moment)
        if table.files() == {"a": "mine", table.copy.name: "theirs"}:
            return table
    raise AssertionError


@pytest.mark.parametrize("again", KEEPS)
def test_where_both_files_were_replaced_it_is_asked_which_is_whose(
    again: Keep, turned: Table
) -> None:
    turned.file.write_text("one")
    for path in (turned.file, turned.copy):
        save_anew(path)
    before = turned.files()
    with pytest.raises(SyncError, match="nothing shows which is whose"):
        turned.decide(again)
    assert turned.files() == before

    turned.decide("mine")
    assert turned.files() == {"a": before[turned.copy.name]}
    assert set(before.values()) <= turned.all_texts()


@pytest.mark.parametrize("again", KEEPS)
def test_where_mine_was_deleted_since_theirs_gets_its_name_back(
    again: Keep, turned: Table
) -> None:
    turned.file.unlink()
    with pytest.raises(SyncError, match=r"a \(conflict\) is not there any more"):
        turned.decide(again)
    assert turned.files() == {"a": "theirs"}


@pytest.mark.parametrize("again", KEEPS)
def test_a_folder_that_was_copied_since_is_known_by_its_bytes(again: Keep, turned: Table) -> None:
    for path in (turned.file, turned.copy):
        new = path.with_name("new")
        new.write_text(path.read_text())
        new.replace(path)
    assert turned.is_turned()
    turned.decide(again)
    assert turned.files()["a"] == ("mine" if again == "mine" else "theirs")


@pytest.mark.parametrize("again", KEEPS)
def test_where_the_two_files_contradict_each_other_it_is_asked_which_is_whose(
    again: Keep, turned: Table
) -> None:
    """Somebody has fetched the server's version again, say, by another program."""
    turned.file.unlink()
    turned.file.write_text("theirs")
    assert turned.is_turned() is None
    before = turned.files()
    with pytest.raises(SyncError, match="nothing shows which is whose"):
        turned.decide(again)
    assert turned.files() == before


@pytest.mark.parametrize("again", KEEPS)
def test_where_no_time_of_birth_is_told_bytes_say_more_than_a_number(
    again: Keep, tables: Iterator[Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is made anew, as in a copied folder, may get the number of the other one."""
    monkeypatch.setattr(exchanges, "birth_ns", lambda *_: None)
    table = next(tables)
    mine, theirs = FileNumber.at(table.copy), FileNumber.at(table.file)
    assert mine is not None
    assert theirs is not None
    table.note_exchange(Exchange(mine=theirs, theirs=mine))
    assert table.is_turned() is False
    table.decide(again)
    assert table.files()["a"] == ("mine" if again == "mine" else "theirs")


@pytest.mark.parametrize("again", KEEPS)
def test_a_folder_that_is_where_files_cannot_be_exchanged_by_now(
    again: Keep, tables: Iterator[Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both files get their names back, also if the process that does so ends at any moment."""
    for moment in count(1):
        table = next(table for table in tables if has_turned(table))
        with monkeypatch.context() as patch:
            patch.setattr(durable, "exchange", lambda _one, _other: False)
            is_last = not broken_off(table, "both", moment)
            if not is_last and {"a", table.copy.name} <= table.files().keys():
                table.decide(again)
                is_mine = again == "mine"
                assert table.file.read_text() == ("mine" if is_mine else "theirs"), moment
        assert table.all_texts() == {"mine", "theirs"}, moment
        if is_last:
            assert table.files() == {"a": "theirs", table.copy.name: "mine"}
            return


@pytest.mark.parametrize("again", KEEPS)
def test_a_decision_that_fails_leaves_nothing_to_take_back(
    again: Keep, tables: Iterator[Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the next one does what it says, also after editors have saved both as new files."""
    table = next(tables)
    with monkeypatch.context() as patch:
        patch.setattr(Trash, "take", fill_up)
        with pytest.raises(OSError, match="full"):
            table.decide("mine")
    assert table.files() == {"a": "theirs", table.copy.name: "mine"}
    save_anew(table.file)
    save_anew(table.copy)
    table.decide(again)
    assert table.files()["a"].startswith("mine" if again == "mine" else "theirs")


def fill_up(_trash: Trash, _source: Path, _path: str) -> Path:
    raise OSError(errno.ENOSPC, "the disk is full")


def has_turned(table: Table) -> bool:
    """Kill a process between the names and the trash; False if it was another moment."""
    return any(
        broken_off(table, "mine", moment) and table.file.read_text() == "mine"
        for moment in MOMENTS[:4]
    )


@pytest.mark.parametrize("again", KEEPS)
def test_another_break_in_the_second_decision(again: Keep, tables: Iterator[Table]) -> None:
    """Whatever it left, the third one does what it says, too."""
    for first, second in product(MOMENTS, repeat=2):
        table = next(tables)
        broken_off(table, "mine", first)
        if not table.copy.exists():
            continue
        broken_off(table, "theirs", second)
        if not table.copy.exists():
            continue
        table.decide(again)
        expected = {"a": "mine" if again == "mine" else "theirs"}
        if again == "both":
            expected[table.copy.name] = "mine"
        assert table.files() == expected
        assert table.all_texts() == {"mine", "theirs"}


def test_a_trash_that_cannot_take_it_turns_nothing_round(
    tables: Iterator[Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = next(tables)

    def full(_trash: Trash, source: Path, _path: str) -> Path:
        raise OSError(errno.ENOSPC, "no room", str(source))

    with monkeypatch.context() as patch:
        patch.setattr(Trash, "take", full)
        with pytest.raises(OSError, match="no room"):
            table.decide("mine")
    assert table.files() == {"a": "theirs", table.copy.name: "mine"}
    table.decide("mine")
    assert table.files() == {"a": "mine"}
