"""What was taken out of a folder is kept, under a name of its own, for a while."""

import errno
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from syncapi.client import durable
from syncapi.client.folder.trash import Trash


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


def test_old_days_expire(tmp_path: Path) -> None:
    trash = Trash(tmp_path / "trash", keep=timedelta(days=30))
    today = datetime.now(UTC).date()
    for age in (29, 30, 31, 400):
        _file(tmp_path / "trash" / (today - timedelta(days=age)).isoformat())
    _file(tmp_path / "trash" / "somebody's")
    assert trash.expire() == 2
    ages = sorted((today - file.day).days for file in trash.files())
    assert ages == [29, 30]
    assert (tmp_path / "trash" / "somebody's" / "a.txt").exists()


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
def test_a_write_during_the_copy_keeps_the_file(
    trash: Trash, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = _file(tmp_path)
    sync_file = durable.sync_file

    def somebody_writes(descriptor: int) -> None:
        source.write_text("more text")
        sync_file(descriptor)

    monkeypatch.setattr(durable, "sync_file", somebody_writes)
    with pytest.raises(OSError, match="written to while it was copied"):
        trash.take(source, "a.txt")
    assert source.read_text() == "more text"
    assert list(trash.files()) == []
