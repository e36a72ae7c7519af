"""Bytes on their way into a folder in which others are at work."""

import asyncio
import errno
import os
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from uuid import UUID

import pytest

from syncapi.client import durable
from syncapi.client.folder.apply import download_writer
from syncapi.client.folder.apply.arrivals import Arrivals
from syncapi.client.folder.apply.download_writer import DownloadWriter, Fetched
from syncapi.client.folder.apply.local_executor import LocalExecutor
from syncapi.client.folder.apply.sync_pass import SyncPass
from syncapi.client.folder.disk.disk import Disk, MovedOn
from syncapi.client.folder.disk.trash import Trash
from syncapi.client.folder.memory.ledger import FileIndex, Ledger, PathKeys
from syncapi.client.folder.memory.memory import Memory
from syncapi.client.folder.model import Base, LocalFile
from syncapi.client.folder.observe.scanner import seen
from syncapi.client.folder.plan.actions import Download, Plan
from syncapi.client.folder.reports import MirrorReport, Silent
from syncapi.client.store.store import Store
from syncapi.client.transfer.contents import BytesContent, digest_of
from syncapi.client.transfer.downloads import Downloader
from syncapi.client.transfer.sinks import PartFile
from syncapi.protocol.documents import Document

DATA = b"the bytes of the document"
NOW = datetime(2026, 11, 26, tzinfo=UTC)
DIGEST = digest_of(BytesContent(DATA))
DOCUMENT = cast(
    "Document",
    SimpleNamespace(
        id=UUID(int=1),
        updated_at=NOW,
        file=SimpleNamespace(
            md5_hash=DIGEST.md5_hash, sha256_hash=DIGEST.sha256_hash, file_size=len(DATA)
        ),
    ),
)


def entry(number: int, path: str) -> Base:
    return Base(UUID(int=number), path, NOW, DIGEST.sha256_hash, "", path)


ACTION = Download(DOCUMENT.id, "a.txt", DIGEST.sha256_hash, len(DATA), None, entry(1, "a.txt"))


class Ground:
    """A folder, and a server that brings the bytes at once.

    Attributes:
        meddle: what somebody does to the part when it has come.
        parts: names of the parts that were fetched.
    """

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.root.mkdir()
        self.disk = Disk(self.root, Trash(folder / "trash"))
        self.meddle: Callable[[Path], object] = lambda _part: None
        self.parts: list[str] = []
        self.placing = DownloadWriter(self.disk, cast("Downloader", self), {})

    async def fetch(
        self, _document: Document, part: PartFile, _url: str | None, *, is_lasting: bool
    ) -> None:
        """As the downloader does."""
        assert not is_lasting
        self.parts.append(part.part.name)
        part.restart()
        part.write(DATA)
        self.meddle(part.part)

    async def place(self, current: SyncPass) -> Path:
        fetched = await self.placing.fetch(ACTION, current)
        file, folder = self.placing.put(fetched)
        return folder / file.path

    def round(self, *files: LocalFile) -> SyncPass:
        plan = Plan(actions=(ACTION,))
        known = {file.path: file for file in files}
        return SyncPass(plan, known, {DOCUMENT.id: DOCUMENT}, MirrorReport(), Silent())

    def twin(self) -> LocalFile:
        """A file that has the bytes already."""
        place = self.root / "twin.txt"
        place.write_bytes(DATA)
        return seen(place, "twin.txt", DIGEST.sha256_hash, None)


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path)


async def test_parts_of_a_mirror_are_no_others(ground: Ground) -> None:
    await ground.place(ground.round())
    others = PartFile.beside(ground.root / "a.txt", f"{ACTION.sha256}-{ACTION.id}")
    assert ground.parts != [others.part.name]
    assert (ground.root / "a.txt").read_bytes() == DATA


@pytest.mark.parametrize("meddle", [Path.unlink, lambda part: os.truncate(part, 3)])
async def test_what_is_not_all_there_is_not_placed(
    ground: Ground, meddle: Callable[[Path], object]
) -> None:
    ground.meddle = meddle
    with pytest.raises(MovedOn):
        await ground.place(ground.round())
    assert not (ground.root / "a.txt").exists()


async def test_bytes_that_are_here_are_copied(ground: Ground) -> None:
    await ground.place(ground.round(ground.twin()))
    assert (ground.root / "a.txt").read_bytes() == DATA
    assert ground.parts == []


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO])
async def test_a_twin_that_cannot_be_read_is_fetched(
    ground: Ground, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: Path, _mode: str) -> None:
        raise OSError(number, os.strerror(number))

    current = ground.round(ground.twin())
    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", refuse)
        place = await ground.place(current)
    assert place.read_bytes() == DATA
    assert len(ground.parts) == 1


async def test_a_disk_that_is_full_is_told_of_a_copy_too(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_part: PartFile, _data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    current = ground.round(ground.twin())
    monkeypatch.setattr(PartFile, "write", full)
    with pytest.raises(OSError, match="No space left"):
        await ground.place(current)
    assert ground.parts == []


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "state") as store:
        yield store


def _executor(
    ground: Ground, store: Store, writer: DownloadWriter | None = None, *, parallel: int = 1
) -> LocalExecutor:
    memory = Memory(store, lambda: NOW)
    return LocalExecutor(ground.disk, memory, writer or ground.placing, parallel=parallel)


@pytest.mark.parametrize("error", [FileNotFoundError, NotADirectoryError])
async def test_a_file_that_is_moved_away_at_once_is_for_the_next_round(
    ground: Ground, store: Store, monkeypatch: pytest.MonkeyPatch, error: type[OSError]
) -> None:
    def gone(*_arguments: object, **_more: object) -> LocalFile:
        raise error

    monkeypatch.setattr(download_writer, "seen", gone)
    current = ground.round()
    await _executor(ground, store).carry_out(current)
    assert (current.is_raced, current.report.done, current.report.failures) == (True, [], [])
    (intent,) = Ledger(store).entries()
    assert (intent.version, intent.sha256) == (None, "")  # nothing is agreed on yet


async def test_a_disk_that_is_full_at_last_is_told(
    ground: Ground, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(durable, "sync_file", full)
    current = ground.round()
    await _executor(ground, store).carry_out(current)
    (failure,) = current.report.failures
    assert (failure.path, failure.why) == ("a.txt", "No space left on device")
    assert not (ground.root / "a.txt").exists()


class _Places:
    """Places files of any folder, and does not see whether those are there."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.hold = threading.Event()
        self.hold.set()
        self.look: Callable[[], object] = lambda: None

    async def fetch(self, action: Download, _current: SyncPass) -> Fetched:
        return Fetched(action, DOCUMENT, PartFile(Path(action.path)), None)

    def put(self, fetched: Fetched) -> tuple[LocalFile, Path]:
        self.begun.set()
        self.look()
        self.hold.wait()
        path = fetched.action.path
        return LocalFile(path, len(DATA), DIGEST.sha256_hash, None, 7, 0), Path(path).parent


def _fetched(number: int, path: Path) -> Fetched:
    of_it = entry(number, str(path))
    action = Download(of_it.id, str(path), DIGEST.sha256_hash, len(DATA), None, of_it)
    return Fetched(action, DOCUMENT, PartFile(path), None)


def _parts(folder: Path, number: int) -> list[str]:
    """Parts that have come."""
    paths = [folder / str(part) for part in range(number)]
    for path in paths:
        path.touch()
    return [str(path) for path in paths]


def _arrivals(store: Store, current: SyncPass) -> tuple[Arrivals, _Places]:
    places = _Places()
    index = FileIndex(store, PathKeys(store))
    return Arrivals(cast("DownloadWriter", places), Ledger(store), index, current), places


async def test_notes_of_other_folders_outlive_one_that_is_gone(
    ground: Ground, store: Store, tmp_path: Path
) -> None:
    arrivals, _ = _arrivals(store, ground.round())
    (tmp_path / "file").touch()
    paths = [tmp_path / "gone" / "a", tmp_path / "file" / "inside" / "b", tmp_path / "c"]
    for number, path in enumerate(paths):
        await arrivals.add(_fetched(number, path))
    noted = [(entry.path, entry.inode) for entry in Ledger(store).entries()]
    assert noted == [(str(paths[2]), 7)]
    assert list(FileIndex(store, PathKeys(store)).known()) == [str(paths[2])]


async def test_what_comes_while_the_disk_is_busy_is_placed_together(
    ground: Ground, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    current = ground.round()
    arrivals, places = _arrivals(store, current)
    synced: list[Path] = []
    monkeypatch.setattr(durable, "sync_folder", synced.append)
    places.hold.clear()
    first = asyncio.create_task(arrivals.add(_fetched(0, tmp_path / "0")))
    await asyncio.to_thread(places.begun.wait)
    for number in range(1, 6):
        await arrivals.add(_fetched(number, tmp_path / str(number)))
    assert current.report.done == []
    places.hold.set()
    await first
    assert len(current.report.done) == 6
    assert synced == [tmp_path, tmp_path]


async def test_what_is_about_to_be_placed_is_noted_before_the_first_of_a_group_is(
    ground: Ground, store: Store, tmp_path: Path
) -> None:
    """Whoever is killed among them must not take those for new files that have their names."""
    arrivals, places = _arrivals(store, ground.round())
    paths = _parts(tmp_path, 4)
    expected: list[set[str]] = []
    places.look = lambda: expected.append(
        {entry.coming.path for entry in Ledger(store).entries() if entry.coming}
    )
    places.hold.clear()
    first = asyncio.create_task(arrivals.add(_fetched(0, Path(paths[0]))))
    await asyncio.to_thread(places.begun.wait)
    for number in range(1, 4):
        await arrivals.add(_fetched(number, Path(paths[number])))
    places.hold.set()
    await first
    assert expected == [{paths[0]}, *[set(paths[1:])] * 3]


async def test_who_brings_more_than_the_disk_takes_waits(
    ground: Ground, store: Store, tmp_path: Path
) -> None:
    current = ground.round()
    arrivals, places = _arrivals(store, current)
    places.hold.clear()
    first = asyncio.create_task(arrivals.add(_fetched(0, tmp_path / "0")))
    await asyncio.to_thread(places.begun.wait)
    for number in range(1, 100):
        await arrivals.add(_fetched(number, tmp_path / str(number)))
    late = asyncio.create_task(arrivals.add(_fetched(100, tmp_path / "100")))
    await asyncio.sleep(0.05)
    assert not late.done()
    places.hold.set()
    await asyncio.gather(first, late)
    assert len(current.report.done) == 101


async def test_a_sync_that_is_called_off_waits_for_what_is_on_its_way_to_the_disk(
    ground: Ground, store: Store, tmp_path: Path
) -> None:
    """Its store is closed right after, and its lock is let go."""
    places = _Places()
    places.hold.clear()
    actions = tuple(_fetched(number, tmp_path / str(number)).action for number in range(3))
    documents = {action.id: DOCUMENT for action in actions}
    current = SyncPass(Plan(actions), {}, documents, MirrorReport(), Silent())
    executor = _executor(ground, store, cast("DownloadWriter", places), parallel=3)
    sync = asyncio.create_task(executor.carry_out(current))
    await asyncio.to_thread(places.begun.wait)
    sync.cancel()
    await asyncio.sleep(0.05)
    assert not sync.done()
    places.hold.set()
    with pytest.raises(asyncio.CancelledError):
        await sync
    assert len(list(Ledger(store).entries())) == 3


async def test_who_is_called_off_leaves_nothing_half_placed(
    ground: Ground, store: Store, tmp_path: Path
) -> None:
    arrivals, places = _arrivals(store, ground.round())
    places.hold.clear()
    first = asyncio.create_task(arrivals.add(_fetched(0, tmp_path / "0")))
    await asyncio.to_thread(places.begun.wait)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    await arrivals.add(_fetched(1, tmp_path / "1"))
    places.hold.set()
    await arrivals.settle()
    assert len(list(Ledger(store).entries())) == 2


def test_a_c_library_that_cannot_rename_exclusively(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable, "_libc", SimpleNamespace)
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_text("text")
    durable.move(source, target)
    assert (target.read_text(), source.exists()) == ("text", False)
    source.write_text("other")
    with pytest.raises(FileExistsError):
        durable.move(source, target)
    assert (target.read_text(), source.read_text()) == ("text", "other")
