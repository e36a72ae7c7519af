"""Deletions on a scale that no person means: stop and ask before them.

An unmounted disk looks like an emptied folder, and a mistake on the server like a wish to delete
everything here.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from syncapi.client.errors import SafetyStop
from syncapi.client.folder.plan.actions import Delete, MoveToTrash, Plan
from syncapi.client.store.store import Store
from syncapi.protocol.base import WireModel

MOST_BACK: Final = 3
"""How many files that went back to older versions at once are asked about one by one."""

_SHORTLY = timedelta(minutes=10)
_ALLOW = "If that is meant, repeat with --allow-mass-delete."
_FETCH = "To fetch the files again, repeat with --restore-missing."


@dataclass(frozen=True, slots=True)
class Guards:
    """How many deletions are believed without asking: either bound lets them pass.

    Attributes:
        share: of the files that are kept in step, between 0 and 1.
        number: of files.
    """

    share: float = 0.25
    number: int = 10

    def check(
        self,
        plan: Plan,
        *,
        files_here: int,
        files_known: int,
        before: tuple[int, int] = (0, 0),
    ) -> None:
        """Hold a plan against the bounds.

        Args:
            plan: what would be done.
            files_here: in the folder now.
            files_known: that were in step after the last sync.
            before: deletions on the server, and here, that count as part of the plan's.

        Raises:
            SafetyStop: it would delete too much, on either side.
        """
        there, here = deletions(plan)
        if there and not files_here:
            raise SafetyStop(
                f"The folder is empty, but {files_known} files were in step with the server. "
                "Nothing was deleted there. Is a disk not mounted?",
                hint=f"{_ALLOW} {_FETCH}",
            )
        files_known += sum(before)
        there, here = there and there + before[0], here and here + before[1]
        if self._is_mass(there, files_known):
            raise SafetyStop(
                f"{there} of {files_known} files are gone from the folder. Nothing was deleted "
                "on the server.",
                hint=f"{_ALLOW} {_FETCH}",
            )
        if self._is_mass(here, files_known):
            raise SafetyStop(
                f"{here} of {files_known} files are gone from the server. Nothing was deleted "
                "in the folder.",
                hint=f"{_ALLOW} They go to the trash of this machine first.",
            )

    def _is_mass(self, deletions: int, known: int) -> bool:
        return deletions > self.number and deletions > self.share * known


def deletions(plan: Plan) -> tuple[int, int]:
    """How many documents a plan deletes on the server, and how many files here."""
    there = sum(isinstance(action, Delete) for action in plan.actions)
    return there, sum(isinstance(action, MoveToTrash) for action in plan.actions)


class WentBackStop(SafetyStop):
    """An older copy of the folder seems to have been put over it."""

    def __init__(self, back: int, missing: int) -> None:
        also = f", and {missing} of what was in step are missing" if missing else ""
        super().__init__(
            f"{back} files here have gone back to older versions{also}. Was a backup put back? "
            "Nothing was changed on either side.",
            hint="To have the server's versions again, repeat with --went-back theirs. If what is "
            "here is meant, repeat with --went-back mine.",
        )


def expect_no_backup(back: int, missing: int) -> None:
    """See that no older copy was put over the folder: what it lacks was not deleted by anyone.

    Args:
        back: how many files have the bytes of an older version of their document, or of one
            whose file is missing.
        missing: how many documents would be deleted on the server, since their files are missing.

    Raises:
        WentBackStop: many files went back, or others went missing with them.
    """
    if back > MOST_BACK or (back and missing):
        raise WentBackStop(back, missing)


class _Deleted(WireModel):
    """When a document was deleted, and on which side."""

    at: datetime
    is_here: bool


class RecentDeletions:
    """Adds up what is deleted in small steps, by the rounds of a sync or by several syncs.

    A document counts once, however often its deletion is tried, and not while it is known still.
    """

    def __init__(self, store: Store, now: Callable[[], datetime]) -> None:
        self._now = now
        self._store = store
        self._table = store.table("recent_deletions", _Deleted)

    def check(
        self, guards: Guards, plan: Plan, *, files_here: int, known: Collection[UUID]
    ) -> None:
        """Hold a plan and what came shortly before it against the bounds, and remember it.

        Args:
            guards: the bounds.
            plan: what would be done.
            files_here: in the folder now.
            known: documents that were in step after the last sync.

        Raises:
            SafetyStop: together they delete too much.
        """
        now = self._now()
        planned = {
            str(action.id): isinstance(action, MoveToTrash)
            for action in plan.actions
            if isinstance(action, Delete | MoveToTrash)
        }
        before = self._shortly_before(now, known)
        guards.check(plan, files_here=files_here, files_known=len(known), before=before)
        with self._store.transaction():
            for key, is_here in planned.items():
                self._table.put(key, _Deleted(at=now, is_here=is_here))

    def forget(self) -> None:
        """Somebody has said that it is meant."""
        self._table.clear()

    def _shortly_before(self, now: datetime, known: Collection[UUID]) -> tuple[int, int]:
        """How many were deleted there and here; what is older is forgotten.

        So is what seems to come from the future: the clock was wrong.
        """
        found = [0, 0]
        with self._store.transaction():
            for key, deleted in list(self._table.items()):
                if not now - _SHORTLY < deleted.at <= now:
                    self._table.delete(key)
                elif UUID(key) not in known:
                    found[deleted.is_here] += 1
        return found[0], found[1]
