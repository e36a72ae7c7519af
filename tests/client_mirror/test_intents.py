"""What is about to be done is noted before it is done: a kill may come between any two deeds."""

from collections.abc import Iterator
from pathlib import Path
from typing import cast
from uuid import UUID

import pytest

from fixtures.folder_model import NOW
from syncapi.client.folder.actions import Move, Plan, Trash
from syncapi.client.folder.conflicts import FolderConflicts
from syncapi.client.folder.disk import Disk
from syncapi.client.folder.executing import FolderHalf
from syncapi.client.folder.ledger import FileIndex, Ledger
from syncapi.client.folder.placing import Placing
from syncapi.client.folder.reports import MirrorReport, Silent
from syncapi.client.folder.rounds import Round
from syncapi.client.folder.scanning import seen
from syncapi.client.folder.states import Base, LocalFile
from syncapi.client.folder.trash import Trash as TrashFolder
from syncapi.client.store.store import Store


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Store.open(tmp_path / "state") as store:
        yield Ledger(store)


class Killed(BaseException):
    """Nothing is noted any more."""


def killed(*_arguments: object) -> None:
    raise Killed


@pytest.mark.parametrize("deed", ["trash", "move"])
async def test_all_that_goes_to_the_trash_or_moves(
    deed: str, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all files at once, before the first of them is touched."""
    root = tmp_path / "root"
    root.mkdir()
    files: dict[str, LocalFile] = {}
    for path in ("gone", "moved"):
        (root / path).write_text(path)
        files[path] = seen(root / path, path, path, None)
    before = [
        Base(UUID(int=number), path, NOW, path, "", path, file.inode, file.birth_ns)
        for number, (path, file) in enumerate(files.items())
    ]
    gone, moved = before
    coming = Base(moved.id, "new", NOW, "moved", "", "new", moved.inode, moved.birth_ns)
    plan = Plan((Trash(gone.id, "gone", "gone"), Move(moved.id, "moved", "new", "moved", coming)))
    ledger.put(*before)
    disk = Disk(root, TrashFolder(tmp_path / "trash"))
    # The plan fetches nothing, and asks nothing of the conflicts.
    index, conflicts = cast("FileIndex", None), cast("FolderConflicts", None)
    half = FolderHalf(disk, ledger, index, conflicts, parallel=1)
    monkeypatch.setattr(Disk, deed, killed)

    with pytest.raises(Killed):
        await half.carry_out(
            Round(plan, files, {}, MirrorReport(), Silent()), cast("Placing", None)
        )

    found = {entry.id: (entry.leaving, entry.coming) for entry in ledger.entries()}
    assert found.pop(moved.id) == (False, coming)
    assert found == ({gone.id: (True, None)} if deed == "trash" else {})
