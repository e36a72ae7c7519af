"""A folder that was renamed is the one that was synced; a copy is not, however it is made.

A copy may be old. Taken for the folder, it would push old contents over newer ones.
"""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from fixtures.machine import Machine
from syncapi.cli.client.identities import Identity


@pytest.fixture
def machine(machine: Machine) -> Machine:
    machine.log_in()
    return machine


def by_cp(source: Path, target: Path) -> None:
    subprocess.run(["cp", "-a", source, target], check=True)


def by_tar(source: Path, target: Path) -> None:
    archive = source.with_name("archive.tar")
    keep = ("--xattrs", "--xattrs-include=*")
    subprocess.run(["tar", *keep, "-cf", archive, "-C", source, "."], check=True)
    target.mkdir()
    subprocess.run(["tar", *keep, "-xf", archive, "-C", target], check=True)


def by_files(source: Path, target: Path) -> None:
    """As rsync does with --archive --xattrs: file by file, with times and attributes."""
    shutil.copytree(source, target)


COPIES = pytest.mark.parametrize("copy", [by_cp, by_tar, by_files])


def synced(machine: Machine, *folders: Path) -> None:
    for folder in folders:
        ran = machine("sync", folder)
        assert ran.code == 0, ran.out + ran.err


@COPIES
def test_an_old_copy_is_not_taken_for_the_folder(
    machine: Machine, copy: Callable[[Path, Path], None]
) -> None:
    folder = machine.folder("A")
    (folder / "report").write_text("old")
    synced(machine, folder)
    old = machine.home / "old"
    copy(folder, old)
    (folder / "report").write_text("new")
    (folder / "newer").write_text("newer")
    synced(machine, folder)
    away = folder.rename(machine.home / "away")

    ran = machine("sync", old)
    assert (ran.code, "may be older" in ran.err) == (2, True), ran.out + ran.err
    assert f"syncapi init {old} --moved-from {folder}" in ran.err

    ran = machine("sync", away)  # the folder itself is known again
    assert (ran.code, f"{away} is what {folder} was" in ran.out) == (0, True)
    assert "Nothing to do" in ran.out


def test_a_copy_in_the_place_of_the_folder_is_not_taken_for_it(machine: Machine) -> None:
    folder = machine.folder("A")
    (folder / "report").write_text("old")
    synced(machine, folder)
    old = machine.home / "old"
    by_cp(folder, old)
    away = folder.rename(machine.home / "away")
    old.rename(folder)

    ran = machine("sync", folder)
    assert (ran.code, "may be older" in ran.err) == (2, True), ran.out + ran.err
    assert f"syncapi init {folder} --moved-from {folder}" in ran.err
    shutil.rmtree(away)
    assert machine("init", folder, "--moved-from", folder).code == 0
    synced(machine, folder)


def test_the_folder_is_known_again_wherever_it_is_moved(machine: Machine) -> None:
    folder = machine.folder("A")
    (folder / "report").write_text("text")
    synced(machine, folder)
    (machine.home / "deep" / "er").mkdir(parents=True)
    for place in (machine.home / "B", machine.home / "deep" / "er" / "A"):
        subprocess.run(["mv", folder, place], check=True)
        ran = machine("sync", place)
        assert (ran.code, f"{place} is what {folder} was: noted." in ran.out) == (0, True)
        folder = place


def test_the_folder_is_known_again_while_a_copy_has_its_name(machine: Machine) -> None:
    folder = machine.folder("A")
    synced(machine, folder)
    moved = folder.rename(machine.home / "moved")
    by_cp(moved, folder)
    assert machine("sync", moved).code == 0
    ran = machine("sync", folder)
    assert (ran.code, f"{folder} is a copy of {moved}" in ran.err) == (2, True)


def test_where_a_mount_changes_inodes_the_id_alone_counts(machine: Machine) -> None:
    folder = machine.folder("A", "--no-inode")
    (folder / "report").write_text("text")
    synced(machine, folder)
    by_cp(folder, machine.home / "copy")
    shutil.rmtree(folder)
    (machine.home / "copy").rename(folder)
    synced(machine, folder)
    assert machine("init", folder, "--moved-from", folder, "--inode").code == 0
    by_cp(folder, machine.home / "copy")
    shutil.rmtree(folder)
    (machine.home / "copy").rename(folder)
    assert machine("sync", folder).code == 2


@pytest.mark.parametrize(
    ("before", "is_same"),
    [
        pytest.param({}, True, id="the same"),
        pytest.param({"inode": 1}, False, id="another number"),
        pytest.param({"birth_ns": 1}, False, id="the number was given out again"),
        pytest.param({"device": 1}, True, id="the disk was mounted anew"),
        pytest.param({"birth_ns": None}, True, id="no time of birth"),
        pytest.param({"birth_ns": None, "inode": 1}, False, id="no time, another number"),
        pytest.param({"birth_ns": None, "device": 1}, False, id="no time, another disk"),
    ],
)
def test_what_a_folder_is_known_by(
    before: dict[str, int | None], is_same: bool, tmp_path: Path
) -> None:
    found = Identity.of(tmp_path)
    if found.birth_ns is None:
        pytest.skip("the system tells no times of birth")
    assert found.model_copy(update=before).is_that_of(tmp_path) is is_same
