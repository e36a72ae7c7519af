"""What becomes of a document that both sides changed. Pure.

A strategy is asked with both versions in hand. The four that are built in are the server's own
names; a caller's function, sync or async, is one too. Nothing that it decides is lost: what the
server had stays in the history, and `ASK` keeps both versions here.
"""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Final, Literal, TypeAlias
from uuid import UUID

from syncapi.client.errors import SyncError
from syncapi.client.follower.values import Values, values_of
from syncapi.client.replica.records import ConflictRecord, ContentHash, PendingChange
from syncapi.protocol.filenames import LONGEST_FILENAME
from syncapi.protocol.merging import differing
from syncapi.protocol.merging import merge as joined

FIELDS: Final = ("folder", "filename", "mime_type", "content")


@dataclass(frozen=True, slots=True)
class ReplicaConflict:
    """Both sides of a disagreement.

    Attributes:
        mine, theirs: the fields of either side; None where that side deleted the document.
        base: the fields that both started from; None where they have no common past that the
            server still knows.
        changed_at: when the change was made here, by this machine's clock.
        theirs_at: the server's version; None where it erased the document.
        filename: what the document was last called here.
    """

    id: UUID
    mine: Values | None
    theirs: Values | None
    base: Values | None
    changed_at: datetime
    theirs_at: datetime | None

    @property
    def apart(self) -> tuple[str, ...]:
        """The fields that both sides changed, each to something else."""
        if self.mine is None or self.theirs is None:
            return ("is_deleted",)
        if self.base is None:
            return differing(self.mine, self.theirs)
        return joined(self.base, self.mine, self.theirs).conflicts


@dataclass(frozen=True, slots=True)
class Take:
    """Settle it: the document gets these fields; None deletes it.

    A content must be one of the two sides'. ``outcome`` says in a word what this is.
    """

    values: Values | None
    outcome: Literal["mine", "theirs", "merged"]


@dataclass(frozen=True, slots=True)
class KeepBoth:
    """The server's version keeps the document, mine becomes a new one beside it."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Leave it open, with both versions kept, until `Replica.resolve` is called."""


Resolution: TypeAlias = Take | KeepBoth | Ask
Strategy: TypeAlias = Callable[[ReplicaConflict], Resolution | Awaitable[Resolution]]

Choice: TypeAlias = Literal["mine", "theirs", "both"] | Mapping[str, str]
"""A person's word: whose version, both, or field by field; see `Replica.resolve`."""

ASK: Final = Ask()
KEEP_BOTH: Final = KeepBoth()


def mine(conflict: ReplicaConflict) -> Take:
    return Take(conflict.mine, "mine")


def theirs(conflict: ReplicaConflict) -> Take:
    return Take(conflict.theirs, "theirs")


def last_write_wins(conflict: ReplicaConflict) -> Resolution:
    """The one that comes to the server last, which is mine. Fields that I left alone stay theirs.

    Who deleted, deleted.
    """
    if conflict.mine is None or conflict.theirs is None or conflict.base is None:
        return mine(conflict)
    both = joined(conflict.base, conflict.theirs, conflict.mine)
    return Take(both.fields, "mine")  # where apart it has mine


def first_write_wins(conflict: ReplicaConflict) -> Resolution:
    """The one that came to the server first, which is theirs."""
    return theirs(conflict)


def manual(_conflict: ReplicaConflict) -> Resolution:
    return ASK


def merge(conflict: ReplicaConflict) -> Resolution:
    """Field by field against the base. An edit survives a deletion; what both changed is asked."""
    if conflict.mine is None:
        return theirs(conflict)
    if conflict.theirs is None:
        return mine(conflict)
    if conflict.base is None or conflict.apart:
        return ASK
    return Take(joined(conflict.base, conflict.mine, conflict.theirs).fields, "merged")


def default_strategy(conflict: ReplicaConflict) -> Resolution:
    """Merge what only one side changed; of names that both changed, take the newer remote one.

    1. Both sides alike are no conflict.
    2. Deleted there and edited here: it is made again. Deleted here and edited there: it stays.
    3. Fields that only one side changed are merged, bytes among them: nothing is lost.
    4. Names and types that both changed apart: the server's, if it is the newer one; else ask.
    5. Bytes that both changed apart, or sides without a common past: ask.
    """
    if conflict.mine == conflict.theirs:
        return theirs(conflict)
    merged = merge(conflict)
    if merged != ASK or conflict.base is None or "content" in conflict.apart:
        return merged
    if conflict.theirs_at is None or conflict.theirs_at <= conflict.changed_at:
        return ASK
    both = joined(conflict.base, conflict.mine or {}, conflict.theirs or {})
    return Take(both.fields, "theirs")  # where apart it has theirs


async def judge(strategy: Strategy, conflict: ReplicaConflict) -> Resolution:
    """Ask a strategy, whether it answers at once or later."""
    answer = strategy(conflict)
    if inspect.isawaitable(answer):
        return await answer
    return answer


def conflict_of(record: ConflictRecord) -> ReplicaConflict:
    """A recorded conflict, as strategies see it."""
    server = record.server
    gone = server is None or server.is_deleted
    return ReplicaConflict(
        id=record.id,
        mine=wanted_values(record.mine),
        theirs=None if gone or server is None else values_of(server),
        base=None if record.base is None else values_of(record.base),
        changed_at=record.mine.queued_at,
        theirs_at=None if server is None else server.updated_at,
    )


def wanted_values(change: PendingChange) -> dict[str, object] | None:
    """The whole document as a change wants it; None where it is to be deleted."""
    if change.op == "delete":
        return None
    values = {} if change.base is None else values_of(change.base)
    content = None if change.content is None else change.content.sha256
    given = {name: getattr(change, name) for name in ("folder", "filename", "mime_type")}
    changed = {name: value for name, value in {**given, "content": content}.items() if value}
    if change.folder is not None:
        changed["folder"] = change.folder  # '' is the root
    return {**values, **changed}


def contents_of(record: ConflictRecord) -> dict[str, ContentHash]:
    """The contents that a resolution may name, by SHA-256."""
    files = [version.file for version in (record.server, record.base, record.mine.base) if version]
    known = [ContentHash.of_file(file) for file in files]
    if record.mine.content is not None:
        known.append(record.mine.content)
    return {content.sha256: content for content in known}


def kept_name(filename: str, when: datetime, mark: str) -> str:
    """The name of a version that is kept beside another one, within the limit of names."""
    name = PurePosixPath(filename)
    note = f" (conflict {when:%Y-%m-%d} {mark})"
    suffix = name.suffix if len(name.suffix) < LONGEST_FILENAME // 4 else ""
    stem = filename[: len(filename) - len(suffix)] if suffix else filename
    return stem[: LONGEST_FILENAME - len(note) - len(suffix)] + note + suffix


def settlement(conflict: ReplicaConflict, choice: Choice) -> Resolution:
    """What a person chose.

    Raises:
        SyncError: there is nothing of the kind to choose.
    """
    match choice:
        case "mine":
            return mine(conflict)
        case "theirs":
            return theirs(conflict)
        case "both":
            return KEEP_BOTH
        case Mapping():
            return Take(_chosen(conflict, choice), "merged")
    raise SyncError(f"{choice!r} settles nothing.", hint="Choose mine, theirs or both.")


def _chosen(conflict: ReplicaConflict, choice: Mapping[str, str]) -> dict[str, object]:
    """The fields that a person chose, over the server's."""
    under = conflict.theirs or conflict.mine or {}
    unknown = set(choice) - set(FIELDS)
    if unknown:
        raise SyncError(f"{', '.join(sorted(unknown))}: no field of a document.")
    values = {**under, **choice}
    if "content" in choice:
        side = {"mine": conflict.mine, "theirs": conflict.theirs}.get(choice["content"])
        if side is None:
            raise SyncError("content: choose 'mine' or 'theirs', of a side that has one.")
        values["content"] = side["content"]
    return values
