"""How people settle conflicts, also after they were interrupted, and what must hold then.

Who settles a conflict finds what they said, and all else in the trash; where the file was, there
is one at any moment. That holds as well after a process was killed that was to settle it, perhaps
otherwise, and after the files were edited since, or the document, and a sync.
"""

import hashlib
import random
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, TypeAlias
from unittest import mock
from uuid import UUID

from simulation.backups import Backup
from simulation.colleague import Colleague
from simulation.desks import Desk
from simulation.device import NOTHING, Befalling, Decision, Device
from simulation.people import Contents, Person
from simulation.promises import Meanwhile
from simulation.runs import Outcome, Place
from simulation.second_process import DECISIONS
from simulation.whereabouts import Whereabouts
from syncapi.client import durable
from syncapi.client.folder.memory.conflicts import FolderConflicts
from syncapi.client.folder.memory.ledger import PathKeys
from syncapi.client.folder.plan.actions import Download, SetAside
from syncapi.client.folder.reports import FolderConflict
from syncapi.client.store.store import Store

LONGEST: Final = 8
"""Changes of the disk of a decision."""

_DRAWN: Final[tuple[Decision, ...]] = (*DECISIONS, "mine", "mine")
"""Only that one has more than one step."""

_Which: TypeAlias = tuple[str, UUID, datetime]


@dataclass(frozen=True, slots=True)
class Decided:
    """A conflict that somebody has settled, or has tried to.

    Attributes:
        before, after: SHA-256 by path of the folder.
        kept: SHA-256 of what is in the folder and in the trash afterwards.
        how: how it ended, as `Device.decide` says it.
        was_turned: whether mine had the file's name and theirs that of the copy; None if nobody
            knows which is whose.
    """

    conflict: FolderConflict
    keep: Decision
    before: dict[str, str]
    after: dict[str, str]
    kept: set[str]
    meanwhile: Meanwhile
    how: str
    was_turned: bool | None = False


def misdecided(decided: Decided) -> list[str]:
    """What is wrong with how a conflict was settled."""
    conflict, before, after = decided.conflict, decided.before, decided.after
    lost = (set(before.values()) | decided.meanwhile.written) - decided.kept
    lost -= decided.meanwhile.given_up
    faults = [f"lost: {sorted(lost)}"] if lost else []
    if decided.meanwhile.acts:
        return faults
    if conflict.path in before and conflict.path not in after:
        faults.append(f"{conflict.path} is gone")
    if decided.how == "done" and decided.was_turned is not None and after != _expected(decided):
        faults.append(f"{conflict} became something else than {decided.keep}")
    if decided.how not in {"done", "crashed"} and after not in (before, _given_back(decided)):
        faults.append(f"{decided.how}, and yet something was done")
    return faults


def _given_back(decided: Decided) -> dict[str, str]:
    """The folder where mine was deleted after a kill, and theirs has its name again.

    Then there is no copy to decide about.
    """
    conflict, found = decided.conflict, dict(decided.before)
    is_alone = conflict.path not in found and conflict.copy_path in found
    if decided.was_turned is not False and is_alone:
        found[conflict.path] = found.pop(conflict.copy_path)
    return found


def _expected(decided: Decided) -> dict[str, str]:
    """SHA-256 by path of the folder."""
    conflict, expected = decided.conflict, dict(decided.before)
    mine = expected.pop(conflict.copy_path)
    theirs = expected.pop(conflict.path, None)
    if decided.was_turned:
        assert theirs is not None, "mine had the file's name"
        mine, theirs = theirs, mine
    if decided.keep == "mine":
        return {**expected, conflict.path: mine}
    if theirs is not None:
        expected[conflict.path] = theirs
    return {**expected, conflict.copy_path: mine} if decided.keep == "both" else expected


class Decisions:
    """Settles conflicts at all desks of a run."""

    def __init__(
        self,
        rng: random.Random,
        outcome: Outcome,
        colleague: Colleague,
        sync: Callable[[Device], Awaitable[object]],
    ) -> None:
        self._rng = rng
        self._outcome = outcome
        self._colleague = colleague
        self._sync = sync
        self._doubtful: set[_Which] = set()

    async def make(
        self, desk: Desk, conflict: FolderConflict, befalling: Befalling, meanwhile: Meanwhile
    ) -> None:
        """Settle a conflict; where the process is killed, perhaps go on and repeat it."""
        which = desk.device.name, conflict.id, conflict.seen_at
        was_turned = None if which in self._doubtful else False
        decided = await self._make(desk, conflict, befalling, meanwhile, was_turned=was_turned)
        if decided.how != "crashed":
            return
        is_turned = _is_turned(decided)
        if is_turned is None or self._rng.random() < 0.3:
            self._doubtful.add(which)
            return
        if self._rng.random() < 0.5:
            await self._make_after_a_sync(desk, decided)
            return
        for path in (conflict.path, conflict.copy_path):
            self._rng.choice(_EDITS)(desk.device.root / path)
        await self._make(desk, conflict, NOTHING, Meanwhile(), was_turned=is_turned)

    async def _make_after_a_sync(self, desk: Desk, killed: Decided) -> None:
        """Before it the document is edited, their folder renamed, or a sync may not rename them.

        Each file has its own name after it, and each document its id.
        """
        draw = self._rng.random()
        if draw < 0.5:
            self._outcome.say(await self._colleague.edit_one(killed.conflict.id))
        elif draw < 0.75:
            self._rename_folder(desk.device, killed)
        else:
            await self._sync_without_right(desk.device, killed)
        known = {entry.id for entry in desk.device.entries()}
        await self._sync(desk.device)
        if draw >= 0.5:
            gone = known - {entry.id for entry in desk.device.entries()}
            gone &= {killed.conflict.id, killed.conflict.copy_id}
            self._outcome.blame(
                f"{desk.device.name}: {killed.conflict} lost its document {document}"
                for document in gone
            )
        which = killed.conflict.id, killed.conflict.seen_at
        for conflict in await desk.device.conflicts():
            if (conflict.id, conflict.seen_at) == which:
                found = desk.device.tree().get(conflict.copy_path)
                self._outcome.blame(_passed_for_mine(desk.device, killed, found))
                await self._make(desk, conflict, NOTHING, Meanwhile(), was_turned=False)
                return

    def _rename_folder(self, device: Device, killed: Decided) -> None:
        folder = (device.root / killed.conflict.path).parent
        new = folder.with_name(f"{folder.name} renamed")
        if folder != device.root and folder.is_dir() and not new.exists():
            folder.rename(new)
            self._outcome.say(f"{device.name}: rename {folder.name}")

    async def _sync_without_right(self, device: Device, killed: Decided) -> None:
        """Sync while the names cannot be given back. Neither file is pushed for the other."""
        mine, theirs = _sides(killed)
        wrong = {(killed.conflict.id, mine), (killed.conflict.copy_id, theirs)}
        before = set(device.entries())
        with mock.patch.object(durable, "exchange", side_effect=PermissionError("no right")):
            await device.sync_calmly()
        self._outcome.blame(
            f"{device.name}: {killed.conflict}: {entry} has the other side's bytes"
            for entry in set(device.entries()) - before
            if mine != theirs and (entry.id, entry.sha256) in wrong
        )

    async def _make(
        self,
        desk: Desk,
        conflict: FolderConflict,
        befalling: Befalling,
        meanwhile: Meanwhile,
        *,
        was_turned: bool | None,
    ) -> Decided:
        keep, before = self._rng.choice(_DRAWN), desk.device.tree()
        desk.device.may_have_gone_back = True
        how = await desk.device.decide(conflict.copy_path, keep, befalling)
        self._outcome.say(f"{desk.device.name}: resolve {conflict.copy_path}: {keep}: {how}")
        self._outcome.counts["decisions"] += 1
        after, kept = desk.device.tree(), desk.device.kept()
        decided = Decided(conflict, keep, before, after, kept, meanwhile, how, was_turned)
        self._outcome.blame(f"{desk.device.name}: {fault}" for fault in misdecided(decided))
        return decided


async def broken_off(place: Place, seed: int) -> list[str]:
    """Break decisions off at every moment, and make them again; return what was wrong then."""
    outcome, rng = Outcome(), random.Random(seed)
    contents = Contents(rng)
    with tempfile.TemporaryDirectory(prefix="syncapi-simulation-") as name:
        folder = Path(name)
        device = Device("laptop", folder, place.url, place.tenant_id, place.token, rng)
        desk = Desk(
            device,
            Person(lambda: device.root, rng, contents),
            Backup(device, folder / "backup"),
            Whereabouts(device, folder),
        )
        async with place.client() as client:
            colleague = Colleague(client, rng, contents, device.new_id)
            decisions = Decisions(rng, outcome, colleague, Device.sync_calmly)
            for conflict in await _recorded(device, 6 * LONGEST):
                number = int(conflict.path.partition("/")[0])
                befalling = Befalling(crash_moment=1 + number % LONGEST)
                await decisions.make(desk, conflict, befalling, Meanwhile())
    return outcome.faults


async def _recorded(device: Device, conflicts: int) -> list[FolderConflict]:
    """Conflicts that only the device knows of, with files of documents."""
    paths = [f"{number}/a" for number in range(conflicts)]
    for path in paths:
        (device.root / path).parent.mkdir()
        (device.root / path).write_bytes(f"theirs {path}".encode())
    await device.sync_calmly()
    entries = {entry.path: entry for entry in device.entries()}
    with Store.open(device.state) as store:
        known = FolderConflicts(store, PathKeys(store), device.now)
        for path in paths:
            entry, mine = entries[path], f"mine {path}".encode()
            copy = f"{path} (conflict 2026-11-26 laptop 0000)"
            (device.root / copy).write_bytes(mine)
            aside = SetAside(path, copy, hashlib.sha256(mine).hexdigest())
            size = (device.root / path).stat().st_size
            known.record(aside, Download(entry.id, path, entry.sha256, size, None, entry))
    await device.sync_calmly()
    return await device.conflicts()


def _is_turned(decided: Decided) -> bool | None:
    """Whether a process that was killed has turned the names round; None if that is not clear."""
    if decided.was_turned is None or decided.meanwhile.acts:
        return None
    names = decided.conflict.path, decided.conflict.copy_path
    before = [decided.before.get(name) for name in names]
    after = [decided.after.get(name) for name in names]
    if before[0] == before[1] or after not in (before, before[::-1]):
        return None
    return decided.was_turned != (after != before)


def _passed_for_mine(device: Device, killed: Decided, copy: str | None) -> list[str]:
    """What is wrong with the copy after a sync, by its SHA-256."""
    mine, theirs = _sides(killed)
    if mine == theirs or copy is None or copy != theirs:
        return []
    return [f"{device.name}: {killed.conflict}: theirs passes for mine after a sync"]


def _sides(killed: Decided) -> tuple[str | None, str | None]:
    """SHA-256 of mine and of theirs before a decision."""
    before, names = killed.before, (killed.conflict.copy_path, killed.conflict.path)
    mine, theirs = names[::-1] if killed.was_turned else names
    return before.get(mine), before.get(theirs)


def _leave(path: Path) -> None:
    """Change nothing."""


def _append(path: Path) -> None:
    if path.is_file():
        with path.open("a") as stream:
            stream.write("edited")


def _save_anew(path: Path) -> None:
    if path.is_file():
        new = path.with_name(f"{path.name}~")
        new.write_bytes(path.read_bytes() + b"saved anew")
        new.replace(path)


_EDITS: Final[tuple[Callable[[Path], None], ...]] = (_leave, _append, _save_anew)
