"""What was taken out of a folder is kept, under a name of its own, for a while."""

import errno
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from simulation.crashes import Crashed, crash_at
from syncapi.client import durable
from syncapi.client.folder.disk import trash as trash_module
from syncapi.client.folder.disk.run_days import RunDays
from syncapi.client.folder.disk.trash import Trash
from syncapi.client.folder.ignore_rules import Ignores, is_part_file


@pytest.fixture
def trash(tmp_path: Path) -> Trash:
    return Trash(tmp_path / "trash")


def _file(folder: Path, name: str = "a.txt", text: str = "text") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_file_is_moved_under_its_path(trash: Trash, tmp_path: Path) -> None:
    source = _file(tmp_path / "docs" / "deep")
    taken = trash.take(source, "deep/a.txt")
    assert not source.exists()
    assert taken.read_text() == "text"
    assert [(file.path, file.place) for file in trash.files()] == [("deep/a.txt", taken)]


def test_the_same_path_again_replaces_nothing(trash: Trash, tmp_path: Path) -> None:
    taken = {trash.take(_file(tmp_path, text=text), "a.txt") for text in "123"}
    assert sorted(place.read_text() for place in taken) == ["1", "2", "3"]


def test_a_folder_and_a_file_of_one_name(trash: Trash, tmp_path: Path) -> None:
    trash.take(_file(tmp_path, text="file"), "a.txt")
    trash.take(_file(tmp_path, text="inside"), "a.txt/inside.txt")
    trash.take(_file(tmp_path, text="other file"), "a.txt")
    kept = sorted((file.path, file.place.read_text()) for file in trash.files())
    assert kept == [("a.txt", "file"), ("a.txt", "other file"), ("a.txt/inside.txt", "inside")]


def test_what_was_taken_can_be_put_back_but_over_nothing(trash: Trash, tmp_path: Path) -> None:
    taken = trash.take(_file(tmp_path), "a.txt")
    trash.put_back(taken, tmp_path / "a.txt")
    taken = trash.take(tmp_path / "a.txt", "a.txt")
    _file(tmp_path, text="new")
    with pytest.raises(FileExistsError):
        trash.put_back(taken, tmp_path / "a.txt")
    assert (taken.read_text(), (tmp_path / "a.txt").read_text()) == ("text", "new")


def test_a_copy_leaves_the_file(trash: Trash, tmp_path: Path) -> None:
    source = _file(tmp_path)
    assert trash.keep(source, "a.txt").read_text() == "text"
    assert source.read_text() == "text"


class Clock:
    """The time that the trash is told; each run is a process of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self._folder = folder
        self.today = date(2026, 11, 1)
        monkeypatch.setattr(trash_module, "datetime", self)

    def now(self, _zone: object) -> datetime:
        return datetime(self.today.year, self.today.month, self.today.day, tzinfo=UTC)

    def run(self, today: date | None = None, *, days: int = 1) -> int:
        """Sync once a day for some days, with a clock set to the first; how many days expired."""
        expired = 0
        self.today = today or self.today
        for _ in range(days):
            expired += Trash(self._folder, keep=timedelta(days=30)).expire()
            self.today += timedelta(days=1)
        return expired

    def put(self) -> None:
        _file(self._folder / self.today.isoformat())


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Clock:
    return Clock(monkeypatch, tmp_path / "trash")


def test_old_days_expire(clock: Clock, tmp_path: Path) -> None:
    clock.put()
    _file(tmp_path / "trash" / "somebody's")
    assert clock.run(days=31) == 0, "30 days are over, not 31"
    assert clock.run() == 1
    assert list(Trash(tmp_path / "trash").files()) == []
    assert (tmp_path / "trash" / "somebody's" / "a.txt").exists()


@pytest.mark.parametrize("year", [2099, 1970])
def test_a_clock_that_jumps_empties_nothing(year: int, clock: Clock) -> None:
    for _ in range(10):
        clock.put()
        clock.run()
    before = clock.today
    wrong = date(year, 1, 1)
    assert clock.run(wrong, days=15) == 0
    clock.today = wrong
    clock.put()
    assert clock.run(before) == 0
    assert clock.run(wrong + timedelta(days=20)) == 0


def test_what_a_wrong_clock_has_named_expires_too(clock: Clock, tmp_path: Path) -> None:
    today = clock.today
    clock.today = date(2099, 1, 1)
    clock.put()
    clock.run()
    assert clock.run(today, days=29) == 0
    assert clock.run(days=2) == 1
    assert list(Trash(tmp_path / "trash").files()) == []


def test_what_was_put_there_after_midnight_waits_for_its_days(clock: Clock) -> None:
    clock.run(days=40)
    clock.put()  # the run of yesterday went on past midnight
    assert clock.run(date(2099, 1, 1)) == 0


def test_a_machine_that_is_off_keeps_its_trash(clock: Clock) -> None:
    clock.put()
    clock.run()
    assert clock.run(clock.today + timedelta(days=365)) == 0


def test_a_day_that_cannot_be_deleted_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trash = Trash(tmp_path / "trash")
    since = [date(2021, 1, 1) + timedelta(days=number) for number in range(29)]
    runs = RunDays(tmp_path / "trash", keep=timedelta(days=30))
    runs.add(date(2020, 1, 1), date(2020, 1, 2), *since)
    for day in ("2020-01-01", "2020-01-02"):
        _file(tmp_path / "trash" / day)
    remove = shutil.rmtree

    def refuse(folder: Path) -> None:
        if folder.name == "2020-01-01":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        remove(folder)

    monkeypatch.setattr(shutil, "rmtree", refuse)
    assert trash.expire() == 1
    assert [file.day.isoformat() for file in trash.files()] == ["2020-01-01"]


def test_a_copy_takes_no_other_files_place(trash: Trash, tmp_path: Path) -> None:
    kept = trash.keep(_file(tmp_path, ".n.new", "other"), ".n.new")
    trash.keep(_file(tmp_path, "n"), "n")
    assert kept.read_text() == "other"
    assert sorted(file.path for file in trash.files()) == [".n.new", "n"]


def test_a_copy_that_cannot_be_finished_leaves_nothing(
    trash: Trash, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(durable, "sync_file", full)
    with pytest.raises(OSError, match="No space left"):
        trash.keep(_file(tmp_path), "a.txt")
    assert [path for path in (tmp_path / "trash").rglob("*") if path.is_file()] == []


@pytest.mark.timeout(20)
@pytest.mark.parametrize("act", [Trash.take, Trash.keep])
def test_a_source_whose_folder_became_a_file(
    act: Callable[[Trash, Path, str], Path], trash: Trash, tmp_path: Path
) -> None:
    source = _file(tmp_path, "d", "a file") / "a.txt"
    with pytest.raises(NotADirectoryError):
        act(trash, source, "d/a.txt")


@pytest.mark.timeout(20)
def test_a_trash_that_is_a_file(trash: Trash, tmp_path: Path) -> None:
    _file(tmp_path, "trash")
    source = _file(tmp_path)
    with pytest.raises(OSError, match="the trash has no place"):
        trash.take(source, "a.txt")
    assert source.read_text() == "text"


@pytest.fixture
def other_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The trash is on a file system of its own: names cannot be moved there."""
    move = durable.move

    def refuse(source: Path, target: Path) -> None:
        inside = tmp_path / "trash"
        if source.is_relative_to(inside) is not target.is_relative_to(inside):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        move(source, target)

    monkeypatch.setattr(durable, "move", refuse)


@pytest.mark.usefixtures("other_disk")
def test_across_file_systems_it_is_copied_first(trash: Trash, tmp_path: Path) -> None:
    source = _file(tmp_path)
    os.utime(source, ns=(10**18, 10**18))
    taken = trash.take(source, "a.txt")
    assert not source.exists()
    assert (taken.read_text(), taken.stat().st_mtime_ns) == ("text", 10**18)
    assert [file.path for file in trash.files()] == ["a.txt"]


@pytest.mark.usefixtures("other_disk")
@pytest.mark.parametrize("act", [Trash.take, Trash.keep])
def test_the_longest_name_is_copied(
    act: Callable[[Trash, Path, str], Path], trash: Trash, tmp_path: Path
) -> None:
    name = "\N{EURO SIGN}" * 85
    assert act(trash, _file(tmp_path, name), name).read_text() == "text"


def during_the_copy(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    sync_file = durable.sync_file

    def somebody_acts(descriptor: int) -> None:
        act()
        sync_file(descriptor)

    monkeypatch.setattr(durable, "sync_file", somebody_acts)


@pytest.mark.usefixtures("other_disk")
def test_a_write_during_the_copy_keeps_the_file(
    trash: Trash, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = _file(tmp_path / "docs")
    with source.open("a", buffering=1) as stream:
        during_the_copy(monkeypatch, lambda: stream.write(" and more\n"))
        with pytest.raises(OSError, match="written to while it was copied"):
            trash.take(source, "a.txt")
    assert source.read_text() == "text and more\n"
    assert list(source.parent.iterdir()) == [source]
    assert list(trash.files()) == []


@pytest.mark.usefixtures("other_disk")
def test_a_file_that_is_saved_by_a_rename_during_the_copy_stays(
    trash: Trash, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = _file(tmp_path / "docs")
    saved = _file(tmp_path, "saved", "saved")
    during_the_copy(monkeypatch, lambda: saved.replace(source))
    assert trash.take(source, "a.txt").read_text() == "text"
    assert source.read_text() == "saved"
    assert list(source.parent.iterdir()) == [source]


@pytest.mark.usefixtures("other_disk")
def test_a_file_that_is_replaced_before_the_copy_is_not_taken(
    trash: Trash, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = _file(tmp_path / "docs")
    saved = _file(tmp_path, "saved", "more")
    times = source.stat().st_mtime_ns
    os.utime(saved, ns=(times, times))
    move = durable.move

    def somebody_saves(origin: Path, target: Path) -> None:
        if origin == source and target.parent == source.parent:
            saved.replace(source)
        move(origin, target)

    monkeypatch.setattr(durable, "move", somebody_saves)
    with pytest.raises(OSError, match="written to"):
        trash.take(source, "a.txt")
    assert source.read_text() == "more"
    assert list(source.parent.iterdir()) == [source]
    assert list(trash.files()) == []


@pytest.mark.usefixtures("other_disk")
def test_both_stay_where_a_file_was_written_to_and_replaced(
    trash: Trash, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = _file(tmp_path / "docs")
    saved = _file(tmp_path, "saved", "saved")

    with source.open("a", buffering=1) as stream:
        during_the_copy(monkeypatch, lambda: (stream.write("!\n"), saved.replace(source)))
        with pytest.raises(OSError, match="written to"):
            trash.take(source, "a.txt")
    assert sorted(path.read_text() for path in source.parent.iterdir()) == ["saved", "text!\n"]


@pytest.mark.usefixtures("other_disk")
@pytest.mark.parametrize("is_after", [False, True])
@pytest.mark.parametrize("moment", range(1, 10))
def test_a_crash_loses_nothing_and_leaves_nothing_to_push(
    trash: Trash, tmp_path: Path, moment: int, is_after: bool
) -> None:
    """What is left is where it was, in the trash, or under a name that the scan leaves alone."""
    source = _file(tmp_path / "docs")
    with suppress(Crashed), crash_at(moment, is_after=is_after):
        trash.take(source, "a.txt")
    ignores = Ignores([])
    beside = [path for path in source.parent.iterdir() if path != source]
    assert all(ignores.why(path.name, is_folder=False) for path in beside)
    assert not any(is_part_file(path.name) for path in beside), "that would be cleaned up"
    whole = [*source.parent.iterdir(), *(file.place for file in trash.files())]
    assert "text" in {path.read_text() for path in whole}
