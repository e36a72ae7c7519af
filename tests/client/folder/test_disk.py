"""Nothing on the disk is changed that is not as it was seen."""

import errno
import os
from contextlib import suppress
from pathlib import Path

import pytest

from syncapi.client import durable
from syncapi.client.folder.disk.disk import Disk, Identity, MovedOn
from syncapi.client.folder.disk.trash import Trash


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture
def disk(root: Path, tmp_path: Path) -> Disk:
    return Disk(root, Trash(tmp_path / "trash"))


def _trashed(disk: Disk) -> list[str]:
    return [file.place.read_text() for file in disk._trash.files()]


def _write(root: Path, path: str, text: str = "text") -> Identity:
    place = root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)
    seen = Identity.at(place)
    assert seen is not None
    return seen


def _files(root: Path) -> dict[str, str]:
    return {p.relative_to(root).as_posix(): p.read_text() for p in root.rglob("*") if p.is_file()}


def test_a_file_moves_and_leaves_no_empty_folder(disk: Disk, root: Path) -> None:
    seen = _write(root, "a/b/c.txt")
    disk.move("a/b/c.txt", seen, "x/y.txt")
    assert _files(root) == {"x/y.txt": "text"}
    assert sorted(p.name for p in root.iterdir()) == ["x"]


def test_a_folder_with_something_else_stays(disk: Disk, root: Path) -> None:
    (root / "a" / "kept").mkdir(parents=True)
    disk.move("a/b.txt", _write(root, "a/b.txt"), "b.txt")
    assert (root / "a" / "kept").is_dir()


@pytest.mark.parametrize("change", ["edit", "replace", "delete", "folder"])
def test_what_has_changed_is_left_alone(change: str, disk: Disk, root: Path) -> None:
    seen = _write(root, "a.txt")
    match change:
        case "edit":
            (root / "a.txt").write_text("other")
        case "replace":
            _write(root, "b.txt", "text")
            (root / "b.txt").replace(root / "a.txt")
            os.utime(root / "a.txt", ns=(seen.mtime_ns, seen.mtime_ns))
        case _:
            (root / "a.txt").unlink()
    if change == "folder":
        (root / "a.txt").mkdir()
    before = _files(root)
    (root / ".part").write_text("server's")
    with pytest.raises(MovedOn):
        disk.move("a.txt", seen, "c.txt")
    with pytest.raises(MovedOn):
        disk.trash("a.txt", seen)
    with pytest.raises(MovedOn):
        disk.put(root / ".part", "a.txt", seen)
    assert _files(root) == {**before, ".part": "server's"}
    assert _trashed(disk) == []


@pytest.mark.parametrize("kind", ["file", "link", "folder"])
def test_no_name_is_taken_from_anybody(kind: str, disk: Disk, root: Path) -> None:
    seen = _write(root, "a.txt")
    match kind:
        case "file":
            (root / "b.txt").write_text("theirs")
        case "link":
            (root / "b.txt").symlink_to("nowhere")
        case "folder":
            (root / "b.txt").mkdir()
    (root / ".part").write_text("server's")
    with pytest.raises(MovedOn):
        disk.move("a.txt", seen, "b.txt")
    with pytest.raises(MovedOn):
        disk.put(root / ".part", "b.txt", None)
    assert (root / "a.txt").read_text() == "text"
    assert os.path.lexists(root / "b.txt")
    assert (root / ".part").exists()


def test_what_is_replaced_is_in_the_trash(disk: Disk, root: Path) -> None:
    seen = _write(root, "a.txt", "old")
    (root / ".part").write_text("new")
    disk.put(root / ".part", "a.txt", seen)
    assert _files(root) == {"a.txt": "new"}
    assert _trashed(disk) == ["old"]


def test_a_file_that_comes_at_the_last_moment_is_not_overwritten(
    disk: Disk, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = _write(root, "a.txt", "old")
    (root / ".part").write_text("new")
    move = durable.move

    def somebody_saves(source: Path, target: Path, *, is_lasting: bool = True) -> None:
        move(source, target, is_lasting=is_lasting)
        if target.name == "a.txt" and "trash" in str(target):
            (root / "a.txt").write_text("saved")

    monkeypatch.setattr(durable, "move", somebody_saves)
    with pytest.raises(MovedOn):
        disk.put(root / ".part", "a.txt", seen)
    assert (root / "a.txt").read_text() == "saved"
    assert _trashed(disk) == ["old"]


def test_a_write_at_the_last_moment_is_put_back(
    disk: Disk, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = _write(root, "a.txt", "old")
    move = durable.move

    def somebody_appends(source: Path, target: Path, *, is_lasting: bool = True) -> None:
        if source.name == "a.txt" and source.parent == root:
            source.write_text("appended")
        move(source, target, is_lasting=is_lasting)

    monkeypatch.setattr(durable, "move", somebody_appends)
    with pytest.raises(MovedOn):
        disk.trash("a.txt", seen)
    assert _files(root) == {"a.txt": "appended"}


def test_a_link_leads_nowhere(disk: Disk, root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (root / "link").symlink_to(outside)
    (root / ".part").write_text("server's")
    with pytest.raises(MovedOn):
        disk.put(root / ".part", "link/a.txt", None)
    with pytest.raises(MovedOn):
        disk.make_room("link/deeper/a.txt")
    assert list(outside.iterdir()) == []


def test_nothing_is_done_in_another_folder_than_was_looked_at(disk: Disk, root: Path) -> None:
    disk.anchor()
    root.rename(root.with_name("unmounted"))
    root.mkdir()
    (root / ".part").write_text("server's")
    with pytest.raises(MovedOn, match="is another folder"):
        disk.put(root / ".part", "a.txt", None)
    assert [path.name for path in root.iterdir()] == [".part"]


class TestWithoutARenameThatRefuses:
    """As on NFS: renameat2(2) with RENAME_NOREPLACE is refused."""

    @pytest.fixture(
        params=[(number, links) for number in (errno.EINVAL, errno.ENOSYS) for links in (1, 0)],
        ids=["EINVAL", "EINVAL, no links", "ENOSYS", "ENOSYS, no links"],
        autouse=True,
    )
    def refused(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
        number, has_links = request.param

        def no_link(source: Path, *_: object, **__: object) -> None:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM), str(source))

        monkeypatch.setattr(durable, "_renamed", lambda *_: number)
        if not has_links:
            monkeypatch.setattr(os, "link", no_link)

    def test_a_file_is_moved(self, disk: Disk, root: Path) -> None:
        seen = _write(root, "a.txt")
        disk.move("a.txt", seen, "b/c.txt")
        assert _files(root) == {"b/c.txt": "text"}
        moved = Identity.at(root / "b/c.txt")
        assert moved is not None
        assert moved.inode == seen.inode

    @pytest.mark.parametrize("kind", ["file", "link", "folder"])
    def test_no_name_is_taken(self, kind: str, disk: Disk, root: Path) -> None:
        test_no_name_is_taken_from_anybody(kind, disk, root)

    def test_what_is_gone_leaves_nothing(self, root: Path) -> None:
        with pytest.raises(FileNotFoundError):
            durable.move(root / "gone", root / "a.txt")
        assert list(root.iterdir()) == []

    @pytest.mark.parametrize("step", ["link", "open", "rename"])
    def test_a_file_that_appears_meanwhile_is_not_overwritten(
        self, step: str, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It appears right before a step, where there is such a step and the name is free yet."""
        where = Path if step == "rename" else os
        real = getattr(where, step)
        appeared: list[str] = []
        _write(root, "part", "server's")

        def somebody_saves_before(*arguments: object, **named: object) -> object:
            if not (root / "a.txt").exists():
                appeared.append("saved")
                (root / "saved").write_text("saved")
                os.replace(root / "saved", root / "a.txt")  # noqa: PTH105 - Path.rename is patched
            return real(*arguments, **named)

        monkeypatch.setattr(where, step, somebody_saves_before)
        with suppress(FileExistsError):
            durable.move(root / "part", root / "a.txt")
        both = {"a.txt": "saved", "part": "server's"}
        assert _files(root) == (both if appeared else {"a.txt": "server's"})

    def test_a_file_that_is_saved_under_the_old_name_meanwhile_stays(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _write(root, "a.txt", "old")
        link = os.link
        saved: dict[str, str] = {}

        def somebody_saves(source: Path, target: Path, *, follow_symlinks: bool) -> None:
            link(source, target, follow_symlinks=follow_symlinks)
            if target.name == "b.txt":
                (root / "saved").write_text("saved")
                os.replace(root / "saved", root / "a.txt")  # noqa: PTH105 - as above
                saved["a.txt"] = "saved"

        monkeypatch.setattr(os, "link", somebody_saves)
        durable.move(root / "a.txt", root / "b.txt")
        assert _files(root) == {"b.txt": "old", **saved}
