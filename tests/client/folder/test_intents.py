"""What is about to be done is noted before it is done: a kill may come between any two deeds."""

from collections.abc import Iterator
from pathlib import Path
from typing import cast
from uuid import UUID

import pytest

from fixtures.folder_model import NOW
from syncapi.client.folder.apply.download_writer import DownloadWriter
from syncapi.client.folder.apply.local_executor import LocalExecutor
from syncapi.client.folder.apply.sync_pass import SyncPass
from syncapi.client.folder.disk.disk import Disk
from syncapi.client.folder.disk.trash import Trash
from syncapi.client.folder.memory.memory import Memory
from syncapi.client.folder.model import Base, LocalFile
from syncapi.client.folder.observe.scanner import seen
from syncapi.client.folder.plan.actions import Action, Move, MoveToTrash, Plan, SetAside
from syncapi.client.folder.reports import MirrorReport, Silent
from syncapi.client.store.store import Store


class Killed(BaseException):
    """Nothing is noted any more."""


def killed(*_arguments: object) -> None:
    raise Killed


class Scene:
    """A folder with files in step, each with its name as its bytes' hash."""

    def __init__(self, folder: Path, store: Store, *names: str) -> None:
        root = folder / "root"
        root.mkdir()
        memory = Memory(store, lambda: NOW)
        self.ledger, self.conflicts = memory.ledger, memory.conflicts
        disk = Disk(root, Trash(folder / "trash"))
        nothing_to_fetch = cast("DownloadWriter", None)
        self._executor = LocalExecutor(disk, memory, nothing_to_fetch, parallel=1)
        self._files: dict[str, LocalFile] = {}
        self.entries: list[Base] = []
        for number, name in enumerate(names):
            (root / name).touch()
            file = self._files[name] = seen(root / name, name, name, None)
            one = Base(UUID(int=number), name, NOW, name, "", name, file.inode, file.birth_ns)
            self.entries.append(one)
        self.ledger.put(*self.entries)

    async def carry_out(self, *actions: Action) -> None:
        """Until it is killed."""
        current = SyncPass(Plan(actions), self._files, {}, MirrorReport(), Silent())
        with pytest.raises(Killed):
            await self._executor.carry_out(current)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "state") as store:
        yield store


@pytest.mark.parametrize("deed", ["trash", "move"])
async def test_all_that_goes_to_the_trash_or_moves(
    deed: str, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all files at once, before the first of them is touched."""
    scene = Scene(tmp_path, store, "gone", "moved")
    gone, moved = scene.entries
    coming = Base(moved.id, "new", NOW, "moved", "", "new", moved.inode, moved.birth_ns)
    monkeypatch.setattr(Disk, deed, killed)
    await scene.carry_out(
        MoveToTrash(gone.id, "gone", "gone"), Move(moved.id, "moved", "new", "moved", coming)
    )
    found = {entry.id: (entry.leaving, entry.coming) for entry in scene.ledger.entries()}
    assert found.pop(moved.id) == (False, coming)
    assert found == ({gone.id: (True, None)} if deed == "trash" else {})


async def test_an_edit_that_gives_way(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file is nobody's, so that its new name is no rename, and the conflict is listed."""
    scene = Scene(tmp_path, store, "edited")
    (edited,) = scene.entries
    nobodys = Base(edited.id, "edited", NOW, "", "", "edited")
    monkeypatch.setattr(Disk, "move", killed)
    await scene.carry_out(SetAside("edited", "aside", "edited", edited.id, nobodys))
    assert list(scene.ledger.entries()) == [nobodys]
    assert [conflict.copy_path for conflict in scene.conflicts.all()] == ["aside"]
