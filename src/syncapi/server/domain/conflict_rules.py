"""What a pushed change does to the server's document: the rules, without any I/O.

The table in docs/protocol.md says the same in words, and drives the tests.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

from syncapi.protocol.merging import Fields, differing, merge
from syncapi.protocol.push import ChangeStatus, OnConflict, Resolution


@dataclass(frozen=True, slots=True)
class Create:
    change_id: UUID
    id: UUID
    fields: Fields


@dataclass(frozen=True, slots=True)
class Update:
    """``fields`` holds the changed ones alone."""

    change_id: UUID
    id: UUID
    base: datetime
    fields: Fields


@dataclass(frozen=True, slots=True)
class Delete:
    change_id: UUID
    id: UUID
    base: datetime


Change: TypeAlias = Create | Update | Delete


@dataclass(frozen=True, slots=True)
class Version:
    """A document as of one write.

    Attributes:
        fields: what clients change; None for a document that was hard-deleted.
    """

    updated_at: datetime
    is_deleted: bool
    fields: Fields | None


@dataclass(frozen=True, slots=True)
class Write:
    """The state that a change brings about; a deletion keeps the fields."""

    fields: Fields
    is_deleted: bool


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Client and server had changed the same document.

    Attributes:
        fields: in which the client's and the server's wishes differ; ``is_deleted`` for a
            deletion against an edit.
    """

    fields: tuple[str, ...]
    resolution: Resolution


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a change.

    Attributes:
        write: what to write; None to leave the document as it is.
        disagreement: also of an applied change, where it went over or joined another.
        problem: why it was rejected.
    """

    status: ChangeStatus
    write: Write | None = None
    disagreement: Disagreement | None = None
    problem: str | None = None


_UNCHANGED = Decision("unchanged")
_GONE = "There is no such document. It may have been deleted long ago: push it as a create."


def decide(
    change: Change, server: Version | None, base: Fields | None, strategy: OnConflict
) -> Decision:
    """Judge one change.

    Args:
        change: what the client did.
        server: the document now; None if the tenant has none of this id.
        base: the fields of the version that the client started from, where the history has it.
        strategy: for changes that were made from another version than the server's.
    """
    match change:
        case Create():
            return _create(change, server, strategy)
        case Update():
            return _update(change, server, base, strategy)
        case Delete():
            return _delete(change, server, strategy)


def _create(change: Create, server: Version | None, strategy: OnConflict) -> Decision:
    write = Write(change.fields, is_deleted=False)
    if server is None:
        return Decision("applied", write)
    if server.is_deleted:
        return _edit_against_deletion(write, strategy)
    fields = differing(change.fields, server.fields or {})
    if not fields:
        return _UNCHANGED
    # Nothing to merge with: the two documents have no common past.
    return _settle(write, fields, strategy)


def _update(
    change: Update, server: Version | None, base: Fields | None, strategy: OnConflict
) -> Decision:
    if server is None or server.fields is None:
        return Decision("rejected", problem=_GONE)
    wanted = {**server.fields, **change.fields}
    write = Write(wanted, is_deleted=False)
    if change.base == server.updated_at:
        same = wanted == server.fields and not server.is_deleted
        return _UNCHANGED if same else Decision("applied", write)
    if server.is_deleted:
        return _edit_against_deletion(write, strategy)
    if wanted == server.fields:
        return _UNCHANGED  # both sides made the same edit
    if strategy == "merge" and base is not None:
        return _merge(change.fields, server.fields, base)
    return _settle(write, differing(wanted, server.fields), strategy)


def _delete(change: Delete, server: Version | None, strategy: OnConflict) -> Decision:
    if server is None or server.fields is None or server.is_deleted:
        return _UNCHANGED
    write = Write(server.fields, is_deleted=True)
    if change.base == server.updated_at:
        return Decision("applied", write)
    if strategy == "merge":  # the edit survives
        return _refused(("is_deleted",), "server")
    return _settle(write, ("is_deleted",), strategy)


def _merge(mine: Fields, theirs: Fields, base: Fields) -> Decision:
    merged = merge(base, {**base, **mine}, theirs)
    if merged.conflicts:
        return _refused(merged.conflicts, "open")
    if merged.fields == theirs:
        return _UNCHANGED
    joined = Disagreement(differing(merged.fields, theirs), "merged")
    return Decision("applied", Write(merged.fields, is_deleted=False), joined)


def _edit_against_deletion(write: Write, strategy: OnConflict) -> Decision:
    if strategy == "merge":  # the edit survives
        return _settle(write, ("is_deleted",), "last_write_wins")
    return _settle(write, ("is_deleted",), strategy)


def _settle(write: Write, fields: tuple[str, ...], strategy: OnConflict) -> Decision:
    match strategy:
        case "last_write_wins":
            over = Disagreement(fields, "client")
            return Decision("applied", write, over)
        case "first_write_wins":
            return _refused(fields, "server")
        case "reject" | "merge":
            return _refused(fields, "open")


def _refused(fields: tuple[str, ...], resolution: Resolution) -> Decision:
    return Decision("conflict", disagreement=Disagreement(fields, resolution))
