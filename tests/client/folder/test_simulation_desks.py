"""The simulation finds what goes wrong with folders, questions and second processes."""

import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import nullcontext
from itertools import count
from pathlib import Path
from random import Random

import pytest

from simulation.crashes import beside
from simulation.decisions import Decided, broken_off, misdecided
from simulation.device import Befalling, Device
from simulation.moments import Moment
from simulation.promises import Meanwhile, Sync, broken, misjudged
from simulation.runs import Place
from simulation.second_process import Intruded, act_beside
from simulation.truth import Truth
from simulation.went_back import asked_without_reason, deleted_unasked, overwritten_unasked
from simulation.whereabouts import Whereabouts
from syncapi.cli.client.identities import Identity
from syncapi.client import durable
from syncapi.client.folder import backups
from syncapi.client.folder.apply.broken_off import BrokenOff
from syncapi.client.folder.apply.resolver import Resolver
from syncapi.client.folder.disk.trash import Trash
from syncapi.client.folder.ignore_rules import read_ignores
from syncapi.client.folder.memory.conflicts import FolderConflicts
from syncapi.client.folder.model import Base, LocalFile
from syncapi.client.folder.observe.observer import Observer, View
from syncapi.client.folder.observe.older_bytes import OlderBytes, OlderVersions
from syncapi.client.folder.reports import Failure, FolderConflict
from syncapi.client.store.lock import ReplicaLock
from syncapi.protocol.documents import DocumentChanges

planted = pytest.mark.parametrize("is_planted", [False, True], ids=["as it is", "planted"])


@pytest.fixture
async def truth(place: Place) -> AsyncIterator[Truth]:
    connection = await place.connect()
    truth = Truth(connection, place.tenant_id)
    yield truth
    await truth.close()


@planted
def test_a_copy_that_is_taken_for_the_folder(
    is_planted: bool, laptop: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whereabouts = Whereabouts(laptop, tmp_path)
    whereabouts.copy()
    if is_planted:
        monkeypatch.setattr(Identity, "is_that_of", lambda _self, _folder: True)
    assert whereabouts.put_copy_in_place()
    found = misjudged(laptop.root, whereabouts.find(laptop.root), is_the_folder=False)
    assert bool(found) is is_planted, found
    whereabouts.adopt()
    assert whereabouts.find(laptop.root) == laptop.root


@planted
def test_a_folder_that_is_not_known_again(
    is_planted: bool, laptop: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whereabouts = Whereabouts(laptop, tmp_path)
    before = laptop.root
    whereabouts.move()
    assert laptop.root != before
    if is_planted:
        monkeypatch.setattr(Identity, "is_that_of", lambda _self, _folder: False)
    found = misjudged(laptop.root, whereabouts.find(laptop.root), is_the_folder=True)
    assert bool(found) is is_planted, found


@planted
async def test_a_second_process_that_syncs_too(
    is_planted: bool, laptop: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At any change of the disk that the first one makes."""
    if is_planted:
        monkeypatch.setattr(ReplicaLock, "__enter__", lambda self: self)
    said: list[str] = []

    def act() -> None:
        try:
            said.append(beside(act_beside(laptop, Random(1))))
        except Intruded as intruded:
            said.append(str(intruded))

    (laptop.root / "new").write_text("new")
    await laptop.sync(Befalling(act_moments=range(1, 100), act=act))
    assert laptop.has_come_through
    assert said
    assert all("could sync" in one for one in said) is is_planted, said


@planted
async def test_an_edit_while_a_conflict_is_settled(
    is_planted: bool, place: Place, laptop: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Again at every change of the disk."""
    if is_planted:
        monkeypatch.setattr(Resolver, "_give_name", _give_name_blindly)
    (laptop.root / "report").write_text("first")
    await laptop.sync_calmly()
    conflict = await _conflict(laptop, place)
    before, meanwhile, edits = laptop.tree(), Meanwhile(), count()

    def act() -> None:
        tree = laptop.tree()
        (laptop.root / "report").write_text(f"edit {next(edits)}")
        meanwhile.note(tree, laptop.tree(), read_ignores(laptop.root).covers)

    befalling = Befalling(act_moments=range(1, 100), act=act)
    how = await laptop.decide(conflict.copy_path, "mine", befalling)

    assert meanwhile.acts
    after, kept = laptop.tree(), laptop.kept()
    found = misdecided(Decided(conflict, "mine", before, after, kept, meanwhile, how))
    assert bool(found) is is_planted, found


def _give_name_blindly(self: Resolver, conflict: FolderConflict, copy: Path) -> None:
    place = self._disk.place(conflict.path)
    self._trash.keep(place, conflict.path)
    durable.replace(copy, place)


@planted
async def test_a_decision_that_is_turned_round_by_an_edit(
    is_planted: bool, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After kills at every moment."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)  # no power is cut
    if is_planted:
        monkeypatch.setattr(BrokenOff, "is_turned", _is_turned_by_recorded_bytes)
    faults = await broken_off(place, seed=1)
    assert bool(faults) is is_planted, faults


@planted
async def test_a_sync_that_takes_the_names_of_a_broken_off_decision_for_the_files_own(
    is_planted: bool, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)  # no power is cut
    if is_planted:
        monkeypatch.setattr(BrokenOff, "take_back_and_look", _only_looked)
    faults = await broken_off(place, seed=2)
    assert bool(faults) is is_planted, faults


async def _only_looked(
    _self: BrokenOff, look: Callable[[], Awaitable[View]]
) -> tuple[View, list[Failure]]:
    return await look(), []


def _is_turned_by_recorded_bytes(self: BrokenOff, conflict: FolderConflict) -> bool:
    def sha256(path: str) -> str:
        place = self._disk.root / path
        return hashlib.sha256(place.read_bytes()).hexdigest() if place.exists() else ""

    hashes = conflict.theirs_sha256, conflict.mine_sha256
    return (sha256(conflict.copy_path), sha256(conflict.path)) == hashes


@planted
async def test_a_file_that_is_moved_over_its_copy_and_taken_for_a_backup(
    is_planted: bool, truth: Truth, laptop: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_planted:
        monkeypatch.setattr(backups, "_moved", lambda _view: set())
    for name in ("original", "copy"):
        (laptop.root / name).write_text("text")
    await laptop.sync_calmly()
    (laptop.root / "copy").write_text("edited")
    await laptop.sync_calmly()
    (laptop.root / "original").replace(laptop.root / "copy")
    before = await Moment.now(laptop, truth)

    await laptop.sync()

    found = asked_without_reason(laptop, (before,), truth)
    assert bool(found) is is_planted, found


@planted
async def test_a_backup_that_deletes_without_a_question(
    is_planted: bool, truth: Truth, laptop: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its bytes are those of a copy that is in step too."""
    if is_planted:
        monkeypatch.setattr(backups, "expect_no_backup", lambda _back, _missing: None)
    for text in ("old", "new"):
        (laptop.root / "report").write_text(text)
        (laptop.root / "report of old").write_text("old")
        (laptop.root / "newer").write_text(text)
        await laptop.sync_calmly()
    (laptop.root / "report").write_text("old")
    (laptop.root / "newer").unlink()
    before = await Moment.now(laptop, truth)

    await laptop.sync()

    found = deleted_unasked(before, await Moment.now(laptop, truth))
    assert bool(found) is is_planted, found


@planted
async def test_an_open_question_that_is_taken_for_an_answer(
    is_planted: bool, truth: Truth, laptop: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same bytes come with a backup."""
    if is_planted:
        monkeypatch.setattr(FolderConflicts, "was_decided", _was_asked)
    for text in ("old", "new", "old"):
        (laptop.root / "report").write_text(text)
        (laptop.root / "newer").write_text("newer")
        await laptop.sync_calmly()
    (conflict,) = await laptop.conflicts()
    for path, text in (("report", "old"), (conflict.copy_path, ""), ("newer", "")):
        (laptop.root / path).unlink()
        if text:
            (laptop.root / path).write_text(text)
    before = await Moment.now(laptop, truth)

    await laptop.sync()

    found = deleted_unasked(before, await Moment.now(laptop, truth))
    assert bool(found) is is_planted, found


def _was_asked(self: FolderConflicts, entry: Base, sha256: str, _file: LocalFile | None) -> bool:
    return self.was_asked(entry, sha256)


async def _find_nothing(*_: object, **__: object) -> OlderBytes:
    return OlderBytes()


@planted
@pytest.mark.parametrize("is_answered", [True, False])
async def test_older_bytes_that_are_pushed_without_a_question(
    is_planted: bool,
    is_answered: bool,
    truth: Truth,
    laptop: Device,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where the push that they are older than was not answered."""
    if is_planted:
        monkeypatch.setattr(OlderVersions, "find", _find_nothing)
    (laptop.root / "report").write_text("old")
    await laptop.sync_calmly()
    (laptop.root / "report").write_text("new")
    with nullcontext() if is_answered else laptop.losing_answers():
        await laptop.sync()
    (laptop.root / "report").write_text("old")
    before = await Moment.now(laptop, truth)

    await laptop.sync()

    found = overwritten_unasked(before, await Moment.now(laptop, truth))
    assert bool(found) is is_planted, found


async def _conflict(laptop: Device, place: Place) -> FolderConflict:
    (entry,) = laptop.entries()
    async with place.client() as client:
        other = await client.upload(b"theirs", "theirs")
        await client.change_document(entry.id, DocumentChanges(file_id=other.file.id))
    (laptop.root / "report").write_text("mine")
    await laptop.sync_calmly()
    (conflict,) = await laptop.conflicts()
    return conflict


@planted
async def test_a_backup_that_deletes_what_it_lacks(
    is_planted: bool,
    truth: Truth,
    laptop: Device,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if is_planted:
        monkeypatch.setattr(Observer, "_to_restore", lambda _self, _planned, _entries: [])
    for text in ("old", "new"):
        (laptop.root / "report").write_text(text)
        (laptop.root / "newer").write_text("newer")
        await laptop.sync_calmly()
    (laptop.root / "report").write_text("old")
    (laptop.root / "newer").unlink()
    before = await Moment.now(laptop, truth)

    await laptop.sync_calmly()

    assert laptop.answer == "theirs"
    after = await Moment.now(laptop, truth)
    sync = Sync(
        laptop,
        before,
        after,
        set(),
        Meanwhile(),
        is_complete=laptop.has_come_through,
        has_crashed=False,
        knows_history=True,
        answer=laptop.answer,
    )
    found = broken(sync, truth, set())
    assert bool(found) is is_planted, found


def test_what_a_new_day_changes_in_the_trash_is_no_loss(laptop: Device) -> None:
    trash = laptop.state / "trash"
    (laptop.root / "file").write_text("content")
    Trash(trash).take(laptop.root / "file", "file")
    kept = laptop.kept()
    assert len(kept) == 1
    Trash(trash).expire()  # notes the day
    assert (trash / "days").exists()
    assert laptop.kept() == kept
