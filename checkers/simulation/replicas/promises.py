"""What must hold around whatever is done with one program's replica.

- What somebody wrote, and has not written over, is somewhere: with the server, in its history too,
  or with the replica: as its document, in its queue, in a conflict that is open or settled. So is
  what the replica or the server had before.
- A version that the replica gives the server is one that somebody asked for: a document that was
  changed or settled here, with the values that it was to have. What the server has lost is given
  back as it was.
- What others have made of a field is overwritten only by somebody who saw it, or was asked.
- A conflict is one with somebody else. One that is met is told, and one that was answered is not
  asked about again. What was written here gives way only to somebody who was asked about just
  that.
- A run that comes to its end has what the server has, and it ends with no error but those that are
  promised.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby, pairwise
from operator import attrgetter
from typing import Self
from uuid import UUID

from simulation.replicas.held import Held, given
from simulation.replicas.program import Program, Run
from simulation.replicas.wishes import marks_of
from simulation.truth import PastVersion, Truth
from syncapi.client.follower.values import values_of
from syncapi.protocol.versions import NO_VERSION


@dataclass(frozen=True, slots=True)
class Moment:
    """A replica and the server.

    Attributes:
        live: the version of each document that is not deleted.
    """

    held: Held
    history: tuple[PastVersion, ...]
    live: dict[UUID, datetime]

    @classmethod
    async def now(cls, program: Program, truth: Truth) -> Self:
        live = {document.id: document.version for document in await truth.live()}
        return cls(program.held(), tuple(await truth.history()), live)

    def on_server(self) -> set[str]:
        return marks_on_server(self.history)


def marks_on_server(history: Iterable[PastVersion]) -> set[str]:
    """Marks of all versions that the server has."""
    return {mark for version in history for mark in marks_of(version.values)}


@dataclass(frozen=True, slots=True)
class Episode:
    """What was done with a program's replica, with what was before and after.

    Attributes:
        run: None if there was no run, but a change or a decision.
        gone: marks of what was erased, or lost when nobody held it.
        first_loss: when the server lost history first.
        lost_at: when it did so first after the replica's last whole run; None if it did not.
        is_server_quiet: nobody else changed the server meanwhile.
    """

    program: Program
    before: Moment
    after: Moment
    run: Run | None
    gone: set[str]
    first_loss: datetime | None
    lost_at: datetime | None
    is_server_quiet: bool


def broken(episode: Episode) -> list[str]:
    """What was promised and did not hold."""
    faults = [*_lost(episode), *_unasked(episode), *_settled_unasked(episode)]
    faults += _with_oneself(episode)
    run = episode.run
    if run is not None and not run.is_documented:
        faults.append(f"{run.kind} ended with {run.how}")
    if run is not None and run.result is not None:
        faults += _untold(episode)
        if run.kind != "push" and episode.is_server_quiet:
            faults += _differences(episode.after)
            faults += _live_on(episode)
    return [f"{episode.program.name}: {fault}" for fault in faults]


def unrest(held: Held) -> Iterator[str]:
    """What still waits, or is lacking, when all have come to rest."""
    yield from (f"still waits: {change}" for change in held.pending)
    lacking = {d.file.sha256_hash for d in held.documents.values()} - held.contents
    yield from (f"lacks {sha256}" for sha256 in lacking)


def _lost(episode: Episode) -> list[str]:
    before = episode.before.held.marks() | episode.before.on_server()
    kept = episode.after.held.marks() | episode.after.on_server()
    lost = before - kept - episode.program.wishes.given_up - episode.gone - _written_over(episode)
    return [
        f"lost: {mark}, which was in {list(episode.before.held.places_of(mark))}"
        for mark in sorted(lost)
    ]


def _written_over(episode: Episode) -> set[str]:
    """Marks of what was written over here, of documents that others have changed after a loss."""
    if episode.first_loss is None:
        return set()
    history, first_loss = episode.after.history, episode.first_loss
    unchanged = {version.id for version in history}
    unchanged -= {
        version.id
        for version in history
        if version.version > first_loss and version.change_id not in episode.program.ids
    }
    written_over = episode.program.wishes.written_over.items()
    return {mark for id_, marks in written_over if id_ not in unchanged for mark in marks}


def _unasked(episode: Episode) -> Iterator[str]:
    known = {(version.id, version.version) for version in episode.before.history}
    for _, versions in groupby(episode.after.history, attrgetter("id")):
        for earlier, version in pairwise([None, *versions]):
            assert version is not None
            is_new = (version.id, version.version) not in known
            if is_new and version.change_id in episode.program.ids:
                yield from _judged(episode, earlier, version)


def _judged(episode: Episode, earlier: PastVersion | None, version: PastVersion) -> Iterator[str]:
    """What is wrong with a version that the replica has made of an earlier one."""
    if earlier is None and version.id in episode.program.ids - episode.program.wishes.made:
        yield from _judged_beside(episode, version)
        return
    if version.id not in _may_be_changed(episode):
        yield f"nobody changed {_named(version)}"
    for name, value in _changes(earlier, version):
        asked = episode.program.wishes.asked[version.id][name]
        if earlier is None or earlier.is_deleted:  # an edit makes the whole document again
            asked = asked | episode.program.wishes.seen[version.id][name]
        if value not in asked | _given_back(episode, version.id, name):
            yield f"nobody asked for {name} {value} of {_named(version)}"
    if earlier is not None and earlier.change_id not in episode.program.ids:
        yield from _overwritten(episode, earlier, version)


def _judged_beside(episode: Episode, version: PastVersion) -> Iterator[str]:
    """What is wrong with a document that was made where both sides of a conflict were kept."""
    known = episode.before.held.marks() | episode.program.wishes.contents()
    # What was not written here stays as it was, whether its bytes are here or not.
    for held in (episode.before.held, episode.after.held):
        known |= {version.file.sha256_hash for version in held.versions()}
    if version.values["content"] not in known:
        yield f"nobody wrote what is in {_named(version)}"


def _named(version: PastVersion) -> str:
    return f"{version.id} in version {version.version}"


def _may_be_changed(episode: Episode) -> set[UUID]:
    changed = {change.id for change in episode.before.held.pending}
    changed |= episode.program.wishes.touched
    if episode.lost_at is not None:
        held = episode.before.held
        changed |= {version.id for version in (*held.versions(), *held.shadow)}
    return changed


def _changes(earlier: PastVersion | None, version: PastVersion) -> Iterator[tuple[str, object]]:
    """The fields that are not as they were, and what they are now."""
    if version.is_deleted:
        yield "is_deleted", True
        return
    if earlier is None or earlier.is_deleted:
        yield "is_deleted", False
    for name, value in version.values.items():
        if earlier is None or earlier.values[name] != value:
            yield name, value


def _given_back(episode: Episode, document_id: UUID, name: str) -> set[object]:
    """What a field may become since the server has lost it."""
    held = episode.before.held
    waiting = [change for change in held.pending if change.is_lost and change.id == document_id]
    values: set[object] = {given(change).get(name) for change in waiting}
    is_lost = bool(waiting)
    if episode.lost_at is not None:
        changes = [*held.pending, *(record.mine for record in held.conflicts.values())]
        bases = [change.base for change in changes if change.base is not None]
        versions = [v for v in (*held.versions(), *held.shadow, *bases) if v.id == document_id]
        values |= {values_of(version).get(name) for version in versions}
        is_lost |= bool(versions)
    return values | {False} if name == "is_deleted" and is_lost else values


def _overwritten(episode: Episode, earlier: PastVersion, version: PastVersion) -> Iterator[str]:
    if earlier.is_deleted:
        return  # an edit outlives it
    if episode.lost_at is not None and earlier.version <= episode.lost_at:
        return  # what the server was left with
    seen = episode.program.wishes.seen[version.id]
    for name, value in earlier.values.items():
        is_over = version.is_deleted or version.values[name] != value
        if is_over and value not in seen[name]:
            yield f"{name} {value} was overwritten, and nobody had seen it: {_named(version)}"


def _untold(episode: Episode) -> Iterator[str]:
    """Conflicts that were met, and are not in the result."""
    assert episode.run is not None
    assert episode.run.result is not None
    told = {record.id for record in episode.run.result.conflicts}
    met = episode.after.held.conflicts.keys() - episode.before.held.conflicts.keys()
    if episode.run.kind == "sync":
        yield from (f"a conflict was not told: {document_id}" for document_id in met - told)


def _with_oneself(episode: Episode) -> Iterator[str]:
    """Conflicts of what was written here with what was written here before."""
    if episode.lost_at is not None:
        return
    made = [v for v in episode.after.history if v.change_id in episode.program.ids]
    own = {(v.id, v.version) for v in made if not v.is_deleted}  # made again is asked about
    # What the server lost, and what was edited while a run joined it with what others wrote.
    no_past = {
        change.id
        for change in episode.before.held.pending
        if change.is_lost or change.base_updated_at == NO_VERSION
    }
    for asked in episode.program.person.answered:
        if (asked.document_id, asked.theirs_at) in own and asked.document_id not in no_past:
            yield f"in conflict with its own version: {asked}"


def _settled_unasked(episode: Episode) -> Iterator[str]:
    """What was written here and has given way, though nobody was asked about it."""
    wishes, person = episode.program.wishes, episode.program.person
    asked = {(question.document_id, question.changed_at) for question in person.answered}
    before = {(record.id, record.seen_at) for record in episode.before.held.settled}
    for record in episode.after.held.settled:
        if (record.id, record.seen_at) in before or record.id in wishes.resolved:
            continue
        if (record.id, record.mine.queued_at) not in asked and not record.mine.is_lost:
            yield f"settled, and nobody was asked: {record.mine}"


def _differences(after: Moment) -> Iterator[str]:
    """In what the replica's documents differ from the server's after a run."""
    held = {document.id: document.updated_at for document in after.held.documents.values()}
    for document_id in held.keys() | after.live.keys():
        mine, theirs = held.get(document_id), after.live.get(document_id)
        if mine != theirs:
            yield f"{document_id} is held in version {mine}, and the server has {theirs}"


def _live_on(episode: Episode) -> Iterator[str]:
    """Documents that were deleted here as the server had them, and are not deleted."""
    assert episode.run is not None
    if episode.run.kind == "pull" or episode.lost_at is not None:
        return
    for change in episode.before.held.pending:
        is_of_last = episode.before.live.get(change.id) == change.base_updated_at
        is_free = change.id not in episode.program.wishes.touched
        if change.op == "delete" and is_of_last and is_free and change.id in episode.after.live:
            yield f"{change.id} was deleted here, and lives on"
