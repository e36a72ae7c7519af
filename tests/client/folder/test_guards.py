"""Deletions on a scale that nobody means are stopped."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from syncapi.client.errors import SafetyStop
from syncapi.client.folder.guards import (
    Guards,
    RecentDeletions,
    WentBackStop,
    expect_no_backup,
)
from syncapi.client.folder.plan.actions import Action, Delete, MoveToTrash, Plan
from syncapi.client.store.store import Store

VERSION = datetime(2026, 1, 1, tzinfo=UTC)


def _deletes(number: int) -> list[Action]:
    return [Delete(uuid4(), f"{n}", VERSION) for n in range(number)]


def _trashes(number: int) -> list[Action]:
    return [MoveToTrash(uuid4(), f"{n}", "00") for n in range(number)]


@pytest.mark.parametrize(
    ("deletions", "known", "is_stopped"),
    [
        (10, 10, False),  # not over ten
        (11, 44, False),  # over ten, but a quarter
        (11, 43, True),
        (25, 100, False),
        (26, 100, True),
    ],
)
def test_both_bounds_must_be_exceeded(deletions: int, known: int, is_stopped: bool) -> None:
    for actions in (_deletes(deletions), _trashes(deletions)):
        plan = Plan(tuple(actions))
        if not is_stopped:
            Guards().check(plan, files_here=1, files_known=known)
            continue
        with pytest.raises(SafetyStop, match=f"{deletions} of {known} files are gone") as stop:
            Guards().check(plan, files_here=1, files_known=known)
        assert "--allow-mass-delete" in (stop.value.hint or "")


def test_the_sides_are_counted_apart() -> None:
    plan = Plan((*_deletes(9), *_trashes(9)))
    Guards().check(plan, files_here=1, files_known=20)


@pytest.mark.parametrize("known", [1, 5, 1000])
def test_an_emptied_folder_never_empties_the_server(known: int) -> None:
    with pytest.raises(SafetyStop, match="The folder is empty"):
        Guards().check(Plan(tuple(_deletes(known))), files_here=0, files_known=known)


def test_an_empty_folder_whose_files_were_deleted_there_is_fine() -> None:
    Guards().check(Plan(tuple(_trashes(3))), files_here=0, files_known=3)


@pytest.mark.parametrize(
    ("back", "missing", "is_stopped"),
    [
        (3, 0, False),  # each is asked about
        (4, 0, True),
        (0, 4, False),
        (1, 1, True),
    ],
)
def test_what_a_backup_looks_like(back: int, missing: int, is_stopped: bool) -> None:
    if not is_stopped:
        expect_no_backup(back, missing)
        return
    with pytest.raises(WentBackStop, match=f"{back} files here have gone back"):
        expect_no_backup(back, missing)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "state") as state:
        yield state


def _known(number: int) -> set[UUID]:
    return {uuid4() for _ in range(number)}


class TestSmallSteps:
    """A watch, the rounds of a sync, or several syncs may delete a little at a time."""

    def test_they_are_added_up(self, state: Store) -> None:
        for known in (25, 20):
            recent = RecentDeletions(state, lambda: VERSION)
            recent.check(Guards(), Plan(tuple(_deletes(5))), files_here=1, known=_known(known))
        as_of_another_process = RecentDeletions(state, lambda: VERSION)
        with pytest.raises(SafetyStop, match="11 of 25 files are gone from the folder"):
            as_of_another_process.check(
                Guards(), Plan(tuple(_deletes(1))), files_here=1, known=_known(15)
            )

    def test_the_sides_are_added_up_apart(self, state: Store) -> None:
        recent = RecentDeletions(state, lambda: VERSION)
        recent.check(Guards(), Plan(tuple(_trashes(10))), files_here=1, known=_known(20))
        recent.check(Guards(), Plan(tuple(_deletes(10))), files_here=1, known=_known(10))
        with pytest.raises(SafetyStop, match="11 of 21 files are gone from the server"):
            recent.check(Guards(), Plan(tuple(_trashes(1))), files_here=1, known=_known(1))

    def test_one_that_did_not_come_about_counts_once_or_not_at_all(self, state: Store) -> None:
        """It is tried again, or its file is put back: it is in the ledger still."""
        deletes = _deletes(10)
        known = _known(10) | {action.id for action in deletes if action.id}
        recent = RecentDeletions(state, lambda: VERSION)
        for _ in range(3):
            recent.check(Guards(), Plan(tuple(deletes)), files_here=1, known=known)
        recent.check(Guards(), Plan(tuple(_deletes(1))), files_here=1, known=known)

    def test_what_was_stopped_was_not_deleted(self, state: Store) -> None:
        recent = RecentDeletions(state, lambda: VERSION)
        for _ in range(2):
            with pytest.raises(SafetyStop, match="11 of 20"):
                recent.check(Guards(), Plan(tuple(_deletes(11))), files_here=1, known=_known(20))

    @pytest.mark.parametrize(
        "later",
        [timedelta(minutes=11), timedelta(days=-365)],
        ids=["long ago", "by a clock that was wrong"],
    )
    def test_what_was_not_shortly_before_is_forgotten(
        self, state: Store, later: timedelta
    ) -> None:
        moments = iter([VERSION, VERSION + later])
        recent = RecentDeletions(state, lambda: next(moments))
        for _ in range(2):
            recent.check(Guards(), Plan(tuple(_deletes(10))), files_here=1, known=_known(20))

    def test_what_was_meant_is_forgotten(self, state: Store) -> None:
        recent = RecentDeletions(state, lambda: VERSION)
        for _ in range(2):
            recent.check(Guards(), Plan(tuple(_deletes(10))), files_here=1, known=_known(20))
            recent.forget()

    def test_a_plan_that_deletes_nothing_passes(self, state: Store) -> None:
        recent = RecentDeletions(state, lambda: VERSION)
        recent.check(Guards(), Plan(tuple(_deletes(10))), files_here=1, known=_known(10))
        recent.check(Guards(), Plan(), files_here=1, known=set())
