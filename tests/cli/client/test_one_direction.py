"""What `pull` and `push` leave to the other direction: it is named, and nothing is in step."""

from pathlib import Path

import pytest

from fixtures.machine import Machine


@pytest.fixture
def machine(machine: Machine) -> Machine:
    machine.log_in()
    return machine


@pytest.fixture
def laptop(machine: Machine) -> Path:
    folder = machine.folder("laptop")
    (folder / "a").write_text("first")
    synced(machine, folder)
    return folder


def synced(machine: Machine, folder: Path) -> None:
    ran = machine("sync", folder)
    assert ran.code == 0, ran.out + ran.err


def assert_left(machine: Machine, direction: str, folder: Path, *left: tuple[str, str]) -> None:
    """Run one direction, dry and not, and see the work named that is left to the other one."""
    for words in ((direction, folder, "--dry-run"), (direction, folder)):
        ran = machine(*words, "--json")
        assert [(one["action"], one["path"]) for one in ran.of("pending")] == list(left)
        assert (ran.code, ran.summary["counts"]) == (3, {})
        ran = machine(*words)
        assert (ran.code, "In step" in ran.out) == (3, False)
        assert "left to the other direction" in ran.out


def test_a_pull_names_what_waits_to_be_sent(machine: Machine, laptop: Path) -> None:
    (laptop / "a").write_text("edited")
    (laptop / "new").write_text("new")
    assert_left(machine, "pull", laptop, ("update", "a"), ("create", "new"))
    synced(machine, laptop)
    ran = machine("pull", laptop)
    assert (ran.code, ran.out) == (0, "Nothing to do. In step.\n")


@pytest.mark.usefixtures("laptop")
def test_a_push_names_what_waits_to_be_fetched(machine: Machine) -> None:
    desktop = machine.folder("desktop")
    assert_left(machine, "push", desktop, ("download", "a"))
    synced(machine, desktop)
    ran = machine("push", desktop)
    assert (ran.code, ran.out) == (0, "Nothing to do. In step.\n")


@pytest.mark.parametrize("direction", ["pull", "push"])
def test_a_conflict_waits_for_both_directions(
    machine: Machine, laptop: Path, direction: str
) -> None:
    desktop = machine.folder("desktop")
    synced(machine, desktop)
    (desktop / "a").write_text("theirs")
    synced(machine, desktop)
    (laptop / "a").write_text("mine")
    assert_left(machine, direction, laptop, ("conflict", "a"))
    assert (laptop / "a").read_text() == "mine"
