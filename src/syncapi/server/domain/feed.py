"""The rules of a pull: where a run begins, how far it goes, and what a row is.

A *run* is the pages from one cursor to ``has_more: false``. Its upper bound is the head that its
first page saw, so it ends however much is written meanwhile. All times are µs since the epoch.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from syncapi.protocol.versions import EPOCH
from syncapi.server.domain.cursor import LAST_ID, Cursor, CursorKind, Position, invalid_cursor
from syncapi.server.domain.errors import CursorExpired, ExpiryReason

NEVER = -1
"""The base of a first run: everything appeared after it."""

BEGUN = -2
"""The base of a first run of which earlier answers have brought rows: deletions are listed."""

_AGAIN = "Pull again with `since=1970-01-01T00:00:00Z`"


def to_micros(moment: datetime) -> int:
    """Exact µs since the epoch."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def from_micros(micros: int) -> datetime:
    return EPOCH + timedelta(microseconds=micros)


@dataclass(frozen=True, slots=True)
class Head:
    """The clock row of a tenant, in the same snapshot as the page.

    Attributes:
        last: the highest committed stamp.
        opened_at: no stamp is older.
        lineage: eight bytes that stand for the history that the stamps belong to.
        tombstone_floor: the highest stamp of a collected tombstone.
        voided_at: no position from before it goes on, whatever it has seen.
        forked_at: of the lineage that was asked about: up to here it agrees with the present one.
            None if it is the present one, or no history of this tenant.
    """

    last: int
    opened_at: int
    lineage: bytes
    tombstone_floor: int
    voided_at: int
    forked_at: int | None = None


@dataclass(frozen=True, slots=True)
class Start:
    """Where a request wants to go on, before the head is known.

    Attributes:
        cursor: None for a run that begins with `since`.
        base: what appeared after it is *added*.
        filters: fingerprint of the request's filters.
        is_begun: whether earlier answers to the same `since` have brought rows. What they
            brought may be deleted by now, so that even a first run lists deletions.
    """

    cursor: Cursor | None
    position: Position
    base: int
    filters: int
    is_begun: bool = False

    @classmethod
    def since(cls, moment: int, filters: int, *, is_begun: bool = False) -> "Start":
        """A run of everything stamped after `moment`."""
        moment = max(moment, 0)
        return cls(None, Position(moment, LAST_ID), moment, filters, is_begun)

    @classmethod
    def at(cls, cursor: Cursor, filters: int) -> "Start":
        """The run that a cursor continues or starts.

        Raises:
            InvalidCursor: the run was begun with other filters.
        """
        if cursor.filters != filters:
            raise invalid_cursor("It was issued with another `include_deleted`.")
        base = cursor.base if cursor.kind is CursorKind.PAGE else cursor.upper
        return cls(cursor, cursor.position, base, filters)

    @property
    def bound(self) -> int | None:
        """The upper bound of the run so far, µs; None on a run's first page."""
        if self.cursor is None or self.cursor.kind is CursorKind.TOKEN:
            return None
        return self.cursor.upper

    @property
    def starts_a_run(self) -> bool:
        """Whether this is the first page after an earlier run: only here can nothing be new."""
        return self.cursor is not None and self.cursor.kind is CursorKind.TOKEN

    def is_from_nothing(self, opened_at: int) -> bool:
        """Whether the client holds nothing, so that tombstones are of no use to it.

        It says so by a `since` before the tenant's first stamp, and the run's cursors keep it.
        """
        if self.cursor is None:
            return self.base < max(opened_at, 1)
        return self.base in {NEVER, BEGUN}


@dataclass(frozen=True, slots=True)
class Run:
    """A run that the head admits.

    Attributes:
        base: what appeared after it is *added*, else *modified*: a hint, upserts are idempotent.
        upper: the last stamp that belongs to the run.
        seen: the head that this page is read under.
    """

    filters: int
    lineage: bytes
    base: int
    upper: int
    seen: int

    @property
    def tells_deletions(self) -> bool:
        return self.base != NEVER

    def cursor(self, last_read: Position | None) -> Cursor:
        """The cursor after a page: a PAGE at the last row read, or the TOKEN at the end."""
        kind = CursorKind.TOKEN if last_read is None else CursorKind.PAGE
        position = last_read or Position(self.upper, LAST_ID)
        return Cursor(kind, self.filters, self.lineage, self.base, self.upper, self.seen, position)


def begin(start: Start, head: Head) -> Run:
    """Admit a start against the head of the same snapshot.

    Raises:
        CursorExpired: tombstones after the position are collected, or the position belongs to
            a history that is lost.
    """
    if start.cursor is not None:
        _check_lineage(start.cursor, head)  # first: of what is lost there is no tombstone
    is_first = start.is_from_nothing(head.opened_at)
    if not is_first and Position(head.tombstone_floor, LAST_ID) > start.position:
        raise _history_lost() if start.position.time < head.voided_at else _collected()
    base = start.base
    if is_first and start.cursor is None:
        base = BEGUN if start.is_begun else NEVER
    upper = head.last if start.bound is None else start.bound
    return Run(start.filters, head.lineage, base, upper, head.last)


def _check_lineage(cursor: Cursor, head: Head) -> None:
    """Refuse what was read from a history that is lost.

    The position alone may lie before the fork while the page was read after it: a document that
    had moved on by then is back at its old place, behind the position.
    """
    agrees_to = head.last if cursor.lineage == head.lineage else head.forked_at
    if agrees_to is None or cursor.seen > agrees_to:
        raise _history_lost()


def _history_lost() -> CursorExpired:
    return CursorExpired(
        "The server was restored or failed over, and what this position has seen is partly "
        f"lost. {_AGAIN}. A local document that this run does not bring, or brings in an "
        "older version, may be one that the server lost: push it again, do not drop it.",
        reason=ExpiryReason.HISTORY_LOST,
    )


def _collected() -> CursorExpired:
    return CursorExpired(
        "Deletions older than the retention are no longer listed, and this position is from "
        f"before them. {_AGAIN}, and drop each local document that this run does not bring, "
        "unless it holds changes that were not pushed.",
        reason=ExpiryReason.TOMBSTONES_COLLECTED,
    )


def is_idle(start: Start, head: Head) -> bool:
    """Whether the run that begins here is empty: nothing was stamped since the last one ended."""
    cursor = start.cursor
    return (
        cursor is not None
        and start.starts_a_run
        and (cursor.lineage, cursor.upper) == (head.lineage, head.last)
        and cursor.seen <= head.last
        and Position(head.tombstone_floor, LAST_ID) <= cursor.position
    )
