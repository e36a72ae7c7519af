"""What a power cut leaves: files and folders as they were when they were last synced."""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest

from fixtures.stores import add
from syncapi.cli.client.credentials import _keep_in_file, forget
from syncapi.cli.client.json_files import Record
from syncapi.cli.client.registry import FoldersFile
from syncapi.client import durable
from syncapi.client.api.client import Client
from syncapi.client.folder.disk.disk import Disk as Folder
from syncapi.client.folder.disk.disk import Identity
from syncapi.client.folder.disk.trash import Trash
from syncapi.client.folder.factory import open_mirror
from syncapi.client.folder.memory.intents import Resolved
from syncapi.client.folder.model import Base
from syncapi.client.folder.observe.observer import MirrorOptions
from syncapi.client.store.envelope import DataKey
from syncapi.client.store.keys import FileKey, Key
from syncapi.client.store.store import Store
from syncapi.client.transfer.contents import BytesContent
from syncapi.client.transfer.sinks import PartFile

TEXT = b"what must survive"


class Disk:
    """A model of a disk that keeps what was synced, and nothing else.

    Attributes:
        root: the folder that is watched; it is there already.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._bytes: dict[int, bytes] = {}
        self._entries: dict[int, list[tuple[str, int, bool]]] = {}

    def sync(self, descriptor: int) -> None:
        """Keep what is open as it is now."""
        found = os.fstat(descriptor)
        if stat.S_ISDIR(found.st_mode):
            with os.scandir(descriptor) as entries:
                self._entries[found.st_ino] = [
                    (entry.name, entry.inode(), entry.is_dir()) for entry in entries
                ]
        else:
            self._bytes[found.st_ino] = Path(f"/proc/self/fd/{descriptor}").read_bytes()

    def after_a_power_cut(self) -> dict[str, bytes | None]:
        """The files that are there then, by path; None as the bytes of one that was not synced."""
        return dict(self._walk("", self.root.stat().st_ino))

    def _walk(self, prefix: str, folder: int) -> list[tuple[str, bytes | None]]:
        found: list[tuple[str, bytes | None]] = []
        for name, inode, is_folder in self._entries.get(folder, []):
            if is_folder:
                found += self._walk(f"{prefix}{name}/", inode)
            else:
                found.append((prefix + name, self._bytes.get(inode)))
        return found


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    root = tmp_path / "disk"
    root.mkdir()
    disk, real = Disk(root), os.fsync

    def fsync(descriptor: int) -> None:
        disk.sync(descriptor)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    return disk


def synced(disk: Disk, path: str) -> Path:
    """A file that is safe already."""
    place = disk.root / path
    durable.make_folder(place.parent)
    durable.write_text(place, TEXT.decode())
    assert disk.after_a_power_cut()[path] == TEXT
    return place


def test_a_text(disk: Disk) -> None:
    durable.write_text(disk.root / "note", TEXT.decode())
    assert disk.after_a_power_cut() == {"note": TEXT}


Rename = Callable[[Path, Path], None]


@pytest.mark.parametrize("rename", [durable.replace, durable.move])
@pytest.mark.parametrize("target", ["b", "other/b"])
def test_a_name(disk: Disk, rename: Rename, target: str) -> None:
    """It is where it went, and not where it was."""
    source = synced(disk, "a")
    durable.make_folder(disk.root / "other")
    rename(source, disk.root / target)
    assert disk.after_a_power_cut() == {target: TEXT}


@pytest.mark.parametrize("place", ["b", "other/b"])
def test_names_that_are_exchanged(disk: Disk, place: str) -> None:
    synced(disk, "a")
    durable.make_folder((disk.root / place).parent)
    durable.write_text(disk.root / place, "other")
    assert durable.exchange(disk.root / "a", disk.root / place)
    assert disk.after_a_power_cut() == {"a": b"other", place: TEXT}


def test_a_name_that_others_make_lasting(disk: Disk) -> None:
    source = synced(disk, "a")
    durable.move(source, disk.root / "b", is_lasting=False)
    assert disk.after_a_power_cut() == {"a": TEXT}
    durable.sync_folder(disk.root)
    assert disk.after_a_power_cut() == {"b": TEXT}


def test_a_removal(disk: Disk) -> None:
    for name in ("a", "b"):
        synced(disk, name)
    durable.remove(disk.root / "a")
    assert disk.after_a_power_cut() == {"b": TEXT}
    durable.remove(disk.root / "b", is_lasting=False)
    assert disk.after_a_power_cut() == {"b": TEXT}


def test_a_part_that_is_placed(disk: Disk) -> None:
    part = PartFile(disk.root / "part")
    part.write(TEXT[:5])
    part.write(TEXT[5:])
    part.finish()
    part.place(disk.root / "whole")
    assert disk.after_a_power_cut() == {"whole": TEXT}


def test_a_key_file(disk: Disk) -> None:
    """In folders that were made for it, too: without it nothing opens the store any more."""
    path = disk.root / "keys" / "of mine" / "key"
    FileKey(path).wrap(DataKey.new())
    assert disk.after_a_power_cut() == {"keys/of mine/key": path.read_bytes()}


def test_a_token_file(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCAPI_CONFIG_DIR", str(disk.root / "config"))
    place = _keep_in_file("name", TEXT.decode())
    name = str(place.path.relative_to(disk.root))
    assert disk.after_a_power_cut() == {name: TEXT + b"\n"}
    forget(place)
    assert disk.after_a_power_cut() == {}


def test_a_record(disk: Disk) -> None:
    """Without that of the folders none is kept in step any more."""
    place = disk.root / "config" / "folders.json"
    with Record(place, FoldersFile).change():
        pass
    assert disk.after_a_power_cut()["config/folders.json"] == place.read_bytes()


def test_a_file_that_moves_into_folders_that_are_made_for_it(disk: Disk) -> None:
    folder = Folder(disk.root / "folder", Trash(disk.root / "trash"))
    seen = Identity.at(synced(disk, "folder/a"))
    assert seen is not None
    folder.move("a", seen, "new/er/a")
    assert disk.after_a_power_cut() == {"folder/new/er/a": TEXT}


@pytest.mark.parametrize("way", [Trash.take, Trash.keep])
def test_a_file_in_the_trash(disk: Disk, way: Callable[[Trash, Path, str], Path]) -> None:
    """In the folder of its day and in its own, which are made for it."""
    source = synced(disk, "folder/a")
    place = way(Trash(disk.root / "state" / "trash"), source, "deep/a")
    found = disk.after_a_power_cut()
    assert found.pop(place.relative_to(disk.root).as_posix()) == TEXT
    assert found == ({} if way is Trash.take else {"folder/a": TEXT})


async def test_what_the_next_sync_finds_placed_after_a_kill(disk: Disk) -> None:
    """It is noted once its name lasts: what is noted and missing was deleted here."""
    (disk.root / "folder").mkdir()
    durable.move(synced(disk, "part"), disk.root / "folder" / "a", is_lasting=False)
    durable.sync_folder(disk.root)
    entry = Base(UUID(int=1), "a", None, "", "", "a")
    client = Client("http://localhost", UUID(int=0), "none")
    opened = open_mirror(
        disk.root / "folder", disk.root / "state", client, MirrorOptions("laptop")
    )
    async with client, opened as mirror:
        mirror._settle(Resolved((entry,), (entry,), ()))
        assert list(mirror.entries()) == [entry]
    assert disk.after_a_power_cut()["folder/a"] == TEXT


def test_a_store_and_its_contents(disk: Disk, key: Key | None) -> None:
    """SQLite syncs its own files; their names are ours to see to."""
    folder = disk.root / "far" / "away"
    with Store.open(folder, key=key) as store:
        assert "far/away/store.sqlite" in disk.after_a_power_cut()
        add(store.blobs, BytesContent(TEXT))
        (blob,) = (folder / "blobs").iterdir()
        found = disk.after_a_power_cut()
        assert found[f"far/away/blobs/{blob.name}"] == blob.read_bytes()
        store.blobs.tidy(set(), set)
        assert not [name for name in disk.after_a_power_cut() if "blobs/" in name]


def test_a_download_of_a_store(disk: Disk, key: Key | None) -> None:
    with Store.open(disk.root / "store", key=key) as store:
        sink = store.blobs.sink("0" * 64)
        sink.restart()
        sink.write(TEXT)
        sink.place()
        (blob,) = (disk.root / "store" / "blobs").iterdir()
        assert disk.after_a_power_cut()[f"store/blobs/{blob.name}"] == blob.read_bytes()
