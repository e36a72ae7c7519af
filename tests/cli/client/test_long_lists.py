"""A long list ends after twenty lines and says how to see the rest; a program gets all of it."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from syncapi.cli.client.bars import bars_for
from syncapi.cli.client.console import Speaker
from syncapi.cli.client.sync_output import (
    Narrator,
    tell_conflicts,
    tell_problems,
    tell_settled,
)
from syncapi.client.folder.plan.actions import Problem, Settled
from syncapi.client.folder.reports import Failure, FolderConflict

PATHS = [f"file {number:03}" for number in range(25)]


def _problems(speaker: Speaker) -> None:
    tell_problems(speaker, [Problem(path, None, "local_name", "rename it") for path in PATHS])


def _conflicts(speaker: Speaker) -> None:
    now = datetime.now(UTC)
    found = [FolderConflict(uuid4(), path, "copy", None, now, "00", None) for path in PATHS]
    tell_conflicts(speaker, found)


def _settled(speaker: Speaker) -> None:
    tell_settled(speaker, [Settled(path, None, "both_kept", "both") for path in PATHS])


def _failures(speaker: Speaker) -> None:
    narrator = Narrator(speaker, bars_for(Speaker(quiet=True)))
    for path in PATHS:
        narrator.failed(Failure(path, "download", "no space"))


lists = pytest.mark.parametrize(
    ("tell", "rest"),
    [
        (_problems, "5 more problems (-v names every problem)"),
        (_conflicts, "5 more conflicts (-v names every conflict)"),
        (_settled, "5 more decisions (-v names every decision)"),
        (_failures, "(-v names every failure)"),
    ],
)
Tell = Callable[[Speaker], None]


@lists
def test_a_person_sees_twenty_and_how_to_see_the_rest(
    tell: Tell, rest: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tell(Speaker())
    said = capsys.readouterr().out
    assert [path for path in PATHS if path in said] == PATHS[:20]
    assert rest in said


@lists
def test_a_person_who_asks_for_all_sees_all(
    tell: Tell, rest: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tell(Speaker(verbose=True))
    said = capsys.readouterr().out
    assert all(path in said for path in PATHS)
    assert rest not in said


@lists
def test_a_program_gets_all(tell: Tell, rest: str, capsys: pytest.CaptureFixture[str]) -> None:
    tell(Speaker(as_json=True))
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["path"] for line in lines] == PATHS
    assert rest not in "".join(lines)


@pytest.mark.parametrize("tell", [_problems, _conflicts, _failures])
def test_what_needs_attention_is_named_in_a_quiet_run(
    tell: Tell, capsys: pytest.CaptureFixture[str]
) -> None:
    tell(Speaker(quiet=True))
    assert PATHS[0] in capsys.readouterr().out


@pytest.mark.parametrize("tell", [_problems, _conflicts])
def test_all_of_it_is_named_in_a_quiet_run_that_asks_for_all(
    tell: Tell, capsys: pytest.CaptureFixture[str]
) -> None:
    tell(Speaker(quiet=True, verbose=True))
    said = capsys.readouterr().out
    assert all(path in said for path in PATHS)


def test_a_decision_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    _settled(Speaker(quiet=True))
    assert capsys.readouterr().out == ""


def test_each_sync_of_a_watch_names_its_own_failures(capsys: pytest.CaptureFixture[str]) -> None:
    speaker = Speaker()
    narrator = Narrator(speaker, bars_for(Speaker(quiet=True)))
    for _ in range(2):
        narrator.begin(len(PATHS), 0)
        for path in PATHS:
            narrator.failed(Failure(path, "download", "no space"))
    assert capsys.readouterr().out.count(PATHS[0]) == 2
