"""Deletions on a scale that nobody means are stopped."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from syncapi.client.errors import SafetyStop
from syncapi.client.folder.actions import Action, Delete, Plan, Trash
from syncapi.client.folder.guards import Guards

VERSION = datetime(2026, 1, 1, tzinfo=UTC)


def _deletes(number: int) -> list[Action]:
    return [Delete(uuid4(), f"{n}", VERSION) for n in range(number)]


def _trashes(number: int) -> list[Action]:
    return [Trash(uuid4(), f"{n}", "00") for n in range(number)]


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
