"""What must hold around one sync of one device.

- Bytes that the device or the server had, one of them has: in the folder, the trash, a document
  or the history.
- Bytes that were in sight in the folder and nowhere else stay in sight, or the server has them.
  The trash is not enough, but for files of documents that were erased on the server, or deleted
  after the version that is here: also where the server has lost that deletion since.
- What people write into the folder during a sync stays in sight, too; after a crash it is kept.
- No document is deleted that the device's last sync was told to ignore.
- A file that was deleted on one side, and not touched on the other, does not come back.
- What the server has lost and nobody has changed since is given back, by its name and its bytes.
- Where files went back to older versions, nothing that is missing is deleted without a question,
  and no document gets the older bytes without one.
- Who says of a backup that the server's versions are to stay loses no document that it lacks.
- A folder that was renamed is known again, and there is as much to do as before; a copy of it is
  not taken for it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from uuid import UUID

from simulation.device import Device
from simulation.moments import Moment
from simulation.truth import Truth
from simulation.went_back import deleted_unasked, overwritten_unasked
from syncapi.client.folder.model import Base
from syncapi.client.folder.names import join
from syncapi.client.folder.observe.observer import Keep


@dataclass(slots=True)
class Meanwhile:
    """What people did in the folder during a sync.

    Attributes:
        acts: how often they did something.
        given_up: SHA-256 of what they deleted or overwrote.
        given_up_in_sight: the same, of files that were not ignored then.
        written: SHA-256 of what they wrote.
        put_away: SHA-256 of what gave way when they settled a conflict: it is in the trash.
        deleted: documents that others deleted meanwhile, on the server.
    """

    acts: int = 0
    given_up: set[str] = field(default_factory=set)
    given_up_in_sight: set[str] = field(default_factory=set)
    written: set[str] = field(default_factory=set)
    put_away: set[str] = field(default_factory=set)
    deleted: set[UUID] = field(default_factory=set)

    def note(
        self, before: dict[str, str], since: dict[str, str], covers: Callable[[str], bool]
    ) -> None:
        """Note an act: SHA-256 by path before and after it, and what is ignored."""
        self.acts += 1
        gone = set(before.values()) - set(since.values())
        self.given_up |= gone
        self.given_up_in_sight |= gone & {before[path] for path in before if not covers(path)}
        self.written |= set(since.values()) - set(before.values())

    def note_decision(self, before: dict[str, str], since: dict[str, str]) -> None:
        """Note that somebody may have settled a conflict, in the same way."""
        self.acts += 1
        self.put_away |= set(before.values()) - set(since.values())

    def note_deleted(self, deleted: Iterable[UUID]) -> None:
        """Note that somebody changed something on the server, and what is deleted there now."""
        self.acts += 1
        self.deleted |= set(deleted)


@dataclass(frozen=True, slots=True)
class Sync:
    """A sync with what was before it and after it.

    Attributes:
        hidden: documents that the device's sync before this one was told to ignore.
        is_complete: it came through, and had nothing left to do.
        has_crashed: it was ended between two changes of the disk.
        knows_history: the device had a complete sync since the server lost history last.
        answer: what a person has said of files that had gone back.
    """

    device: Device
    before: Moment
    after: Moment
    hidden: set[UUID]
    meanwhile: Meanwhile
    is_complete: bool
    has_crashed: bool
    knows_history: bool
    answer: Keep | None = None


def broken(sync: Sync, truth: Truth, erased: set[UUID]) -> list[str]:
    """What was promised and did not hold.

    Args:
        truth: knows which document had which bytes.
        erased: documents that were ever erased on the server.
    """
    faults = [*_lost(sync), *_put_out_of_sight(sync, truth, erased), *_hidden_deleted(sync)]
    if sync.answer is None and not sync.meanwhile.acts:
        faults += deleted_unasked(sync.before, sync.after)
        faults += overwritten_unasked(sync.before, sync.after)
    if sync.is_complete and not sync.meanwhile.acts:
        if sync.answer == "theirs":
            faults += _not_fetched_again(sync)
        elif sync.knows_history:
            faults += _came_back_from_the_server(sync)
        faults += _came_back_from_here(sync)
    return [f"{sync.device.name}: {fault}" for fault in faults]


def _lost(sync: Sync) -> list[str]:
    before = sync.before.kept | sync.before.on_server | sync.meanwhile.written
    lost = before - sync.after.kept - sync.after.on_server - sync.meanwhile.given_up
    return [f"lost: {sorted(lost)}"] if lost else []


def _put_out_of_sight(sync: Sync, truth: Truth, erased: set[UUID]) -> list[str]:
    only_here = set(sync.before.tree.values()) - sync.before.on_server
    if not sync.has_crashed:
        only_here |= sync.meanwhile.written
    held = set(sync.after.tree.values()) | sync.after.on_server
    gone = only_here - held - sync.meanwhile.given_up - sync.meanwhile.put_away
    gone = {sha256 for sha256 in gone if not truth.documents_of[sha256] & erased}
    entries = {
        e.sha256: e for e in sync.before.entries if sync.before.tree.get(e.path) == e.sha256
    }
    return [
        f"{sha256} is in no other place than the trash; it was {entries.get(sha256)}"
        for sha256 in sorted(gone)
        if sha256 not in entries
        or not (truth.was_deleted(entries[sha256]) or _has_later(entries[sha256], sync, truth))
    ]


def _has_later(entry: Base, sync: Sync, truth: Truth) -> bool:
    """Whether the folder has what came after an entry, and was given back after a loss of both."""
    there = sync.after.live.get(entry.id)
    if there is None or there.sha256 not in sync.after.tree.values():
        return False
    return truth.was_followed_by(entry, there.sha256, sync.before.versions)


def _hidden_deleted(sync: Sync) -> list[str]:
    deleted = (sync.hidden & sync.before.live.keys()) - sync.after.live.keys()
    deleted -= sync.meanwhile.deleted
    had = {(id_, sync.before.live[id_].sha256) for id_ in deleted}
    had |= {
        (version.id, version.sha256)
        for version in sync.after.versions - sync.before.versions
        if not version.is_deleted
    }
    # Ignored no more, thus fetched or pushed; then people deleted the file.
    deleted -= {id_ for id_, sha256 in had if sha256 in sync.meanwhile.given_up_in_sight}
    return [f"deleted what it had been told to ignore: {sorted(deleted)}"] if deleted else []


def _came_back_from_the_server(sync: Sync) -> list[str]:
    """Files deleted here whose documents are as they were, but not those to be fetched again.

    An entry without bytes had its file taken away by a sync that was killed, and somebody wrote
    another one in its place. If that one is gone, it was none of the document's.
    """
    held = set(sync.before.tree.values())
    faults = []
    for entry in sync.before.agreed():
        there, since = sync.before.live.get(entry.id), sync.after.live.get(entry.id)
        is_missing = entry.path not in sync.before.tree and entry.sha256 not in held
        is_deleted = is_missing and entry.sha256 and not (entry.leaving or entry.coming)
        is_untouched = there is not None and there.version == entry.version
        if is_deleted and is_untouched and since == there and not sync.after.covers(entry.path):
            faults.append(f"{entry.path} was deleted here, and its document lives on: {entry}")
    return faults


def _not_fetched_again(sync: Sync) -> list[str]:
    """Documents that were deleted, although the server's versions were to stay."""
    return [
        f"{entry.path} was missing, and its document was deleted: {entry}"
        for entry in sync.before.agreed()
        if entry.path not in sync.before.tree
        and entry.id in sync.before.live
        and entry.id not in sync.after.live
    ]


def _came_back_from_here(sync: Sync) -> list[str]:
    """Documents deleted on the server whose files are as they were.

    But if the server has lost the file's version: then its deletion is one of an older version.
    """
    known = {(version.id, version.version) for version in sync.before.versions}
    deleted = {v.id for v in sync.before.versions if v.is_deleted} - sync.before.live.keys()
    faults = []
    for entry in sync.before.agreed():
        is_as_it_was = sync.before.tree.get(entry.path) == entry.sha256
        is_deleted = entry.id in deleted and (entry.id, entry.version) in known
        if is_as_it_was and is_deleted and entry.id in sync.after.live:
            faults.append(f"{entry.path} was deleted on the server, and was pushed again: {entry}")
    return faults


def owed(moment: Moment, forked_at: datetime) -> list[Base]:
    """What a device holds of what the server has lost and nobody has changed since.

    What was deleted on the server is not given back, even if the device has not trashed it yet: a
    kill has prevented that, or a sync that pulled the deletion and then stopped.

    Args:
        moment: right after the loss.
        forked_at: what was written later is lost.
    """
    return [
        entry
        for entry in moment.agreed()
        if entry.version is not None
        and entry.version > forked_at
        and entry.id in moment.pulled
        and not entry.leaving
        and moment.tree.get(entry.path) == entry.sha256
    ]


def not_given_back(owed: list[Base], after: Moment) -> list[str]:
    """What the server should have got again, by its name and its bytes, and has not got."""
    live = {(document.path, document.sha256) for document in after.live.values()}
    return [
        f"{entry.path} was lost, and was not given back: {entry}"
        for entry in owed
        if (join(entry.folder, entry.filename), entry.sha256) not in live
        and not after.covers(entry.path)
    ]


def misjudged(place: Path, found: Path | None, *, is_the_folder: bool) -> list[str]:
    """What is wrong with how a folder was recognised.

    Args:
        place: where somebody wants to sync.
        found: what would be synced; None if nothing would be.
        is_the_folder: what was synced last is there, and no copy of it.
    """
    if is_the_folder:
        return [] if found == place else [f"{place} is not known again: {found}"]
    return [f"{place} is a copy, and was taken for the folder"] if found is not None else []
