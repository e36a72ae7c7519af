"""``syncapi init``: which folders can be kept in step, and how they are known again."""

import json
import os
import shutil
from pathlib import Path

import pytest

from fixtures.machine import Machine
from syncapi.cli.client.mirror_factory import open_folder
from syncapi.cli.client.registry import folder_of
from syncapi.cli.exit_codes import CommandFailed
from syncapi.client.store.lock import ReplicaLock


@pytest.fixture
def machine(machine: Machine) -> Machine:
    machine.log_in()
    return machine


def known(machine: Machine) -> list[Path]:
    path = machine.config / "folders.json"
    if not path.exists():
        return []
    return [Path(one["path"]) for one in json.loads(path.read_text())["folders"]]


def refused(machine: Machine, *words: str | Path) -> str:
    before = known(machine)
    ran = machine("init", *words)
    assert (ran.code, ran.out) == (2, "")
    assert known(machine) == before
    return ran.err


def test_a_folder_is_made_and_stays_clean(machine: Machine) -> None:
    folder = machine.home / "new" / "notes"
    ran = machine("init", folder, "--json")
    assert ran.code == 0
    assert list(folder.iterdir()) == []
    (told,) = ran.of("initialised")
    assert (told["path"], told["files"]) == (str(folder), 0)
    assert Path(told["state"]).is_relative_to(machine.state)
    assert Path(told["state"]).stat().st_mode & 0o777 == 0o700


def test_a_folder_with_files_is_welcome(machine: Machine) -> None:
    folder = machine.home / "full"
    folder.mkdir()
    (folder / "a").write_text("a")
    assert "(1 file in it now)" in machine("init", folder).out
    assert (folder / "a").read_text() == "a"


def test_twice_is_once(machine: Machine) -> None:
    folder = machine.folder("notes")
    assert "is kept in step already" in refused(machine, folder)


def test_folders_do_not_overlap(machine: Machine) -> None:
    folder = machine.folder("notes")
    (folder / "below").mkdir()
    assert "overlap" in refused(machine, folder / "below")
    outside = machine.home / "outside"
    (outside / "inside").mkdir(parents=True)
    assert machine("init", outside / "inside").code == 0
    assert "overlap" in refused(machine, outside)


def test_a_way_around_by_symlinks_is_seen(machine: Machine) -> None:
    folder = machine.folder("notes")
    (machine.home / "link").symlink_to(folder)
    assert "is a symlink to" in refused(machine, machine.home / "link")
    (folder / "below").mkdir()
    assert "overlap" in refused(machine, machine.home / "link" / "below")


def test_its_own_state_cannot_be_inside(machine: Machine) -> None:
    assert "SYNCAPI_STATE_DIR" in refused(machine, machine.home)


def test_a_file_is_no_folder(machine: Machine) -> None:
    (machine.home / "file").touch()
    assert "is no folder" in refused(machine, machine.home / "file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_must_be_writable(machine: Machine) -> None:
    folder = machine.home / "locked"
    folder.mkdir(mode=0o500)
    assert "cannot be written to" in refused(machine, folder)


def test_it_needs_an_account(machine: Machine) -> None:
    ran = machine("init", machine.home / "x", "--account", "nobody")
    assert ran.code == 6
    assert "syncapi login --url URL --tenant TENANT --account nobody" in ran.err


def test_nowhere_says_where(machine: Machine) -> None:
    ran = machine("status")
    assert (ran.code, "there is none yet" in ran.err) == (2, True)
    folder = machine.folder("notes")
    ran = machine("status")
    assert (ran.code, f"\n  {folder}" in ran.err) == (2, True)


def test_a_moved_folder_is_recognised(machine: Machine) -> None:
    folder = machine.folder("notes")
    moved = folder.rename(machine.home / "moved")
    ran = machine("status", "--offline", cwd=moved)
    assert ran.code == 0
    assert f"{moved} is what {folder} was: noted." in ran.out
    assert known(machine) == [moved]


def test_a_folder_that_is_gone_stops_everything(machine: Machine) -> None:
    folder = machine.folder("notes")
    shutil.rmtree(folder)
    ran = machine("sync", folder)
    assert (ran.code, "is gone" in ran.err) == (5, True)
    assert f"--moved-from {folder}" in ran.err


def test_another_folder_in_its_place_is_not_taken_for_it(machine: Machine) -> None:
    folder = machine.folder("notes")
    shutil.rmtree(folder)
    folder.mkdir()  # as the empty mount point of a disk
    ran = machine("sync", folder)
    assert (ran.code, "is not the folder that it was" in ran.err) == (5, True)
    assert machine("init", folder, "--moved-from", folder).code == 0
    assert machine("status", "--offline", folder).code == 0


def test_a_folder_moved_across_disks_is_said(machine: Machine) -> None:
    folder = machine.folder("notes")
    elsewhere = machine.home / "elsewhere"
    shutil.rmtree(folder)
    elsewhere.mkdir()
    assert "--moved-from OLD_PLACE" in machine("status", cwd=elsewhere).err
    assert machine("init", elsewhere, "--moved-from", folder).code == 0
    assert known(machine) == [elsewhere]
    assert machine("status", "--offline", cwd=elsewhere).code == 0


def test_a_copy_is_no_move(machine: Machine) -> None:
    folder = machine.folder("notes")
    copy = machine.home / "copy"
    copy.mkdir()
    for name in os.listxattr(folder):  # as `cp --archive` does
        os.setxattr(copy, name, os.getxattr(folder, name))
    ran = machine("status", cwd=copy)
    assert (ran.code, f"is a copy of {folder}" in ran.err) == (2, True)
    assert machine("init", copy).code == 0
    assert sorted(known(machine)) == sorted([folder, copy])
    assert machine("status", "--offline", cwd=copy).code == 0
    assert machine("status", "--offline", cwd=folder).code == 0


def test_a_folder_that_was_moved_into_another_is_not_synced_there(machine: Machine) -> None:
    """Each would hold all of the other, and that would hold it again, without end."""
    inner, outer = machine.folder("inner"), machine.folder("outer")
    (inner / "a").write_text("a")
    inner.rename(outer / "inner")
    for _ in range(2):
        ran = machine("sync", outer / "inner")
        assert (ran.code, "lie in each other" in ran.err) == (5, True)
    assert known(machine) == [inner, outer]


def test_a_folder_that_is_synced_is_not_forgotten(machine: Machine) -> None:
    """It would be written to by whoever syncs it."""
    folder = machine.folder("notes")
    (state,) = machine.state.iterdir()
    with ReplicaLock(state):
        ran = machine("forget", folder)
    assert (ran.code, "works on" in ran.err) == (1, True)
    assert known(machine) == [folder]
    assert machine("forget", folder).code == 0
    assert known(machine) == []
    assert not state.exists()


async def test_what_was_opened_before_it_was_forgotten_is_not_synced(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would begin anew with a state that nobody knows of."""
    folder = machine.folder("notes")
    for name, value in machine.environment.items():
        monkeypatch.setenv(name, value)
    found, _ = folder_of(folder)
    async with open_folder(found) as at_work:
        with at_work.alone():
            pass
        assert machine("forget", folder).code == 0
        with pytest.raises(CommandFailed, match="was forgotten"), at_work.alone():
            pass


def test_forgetting_keeps_the_files(machine: Machine) -> None:
    folder = machine.folder("notes")
    (folder / "a").write_text("a")
    assert machine("forget", folder).code == 0
    assert (folder / "a").read_text() == "a"
    assert (known(machine), os.listxattr(folder)) == ([], [])
    assert list(machine.state.iterdir()) == []
    assert machine("forget", folder).code == 2
    assert machine("init", folder).code == 0


class TestEncryption:
    def test_by_a_key_file(self, machine: Machine) -> None:
        key = machine.home / "disk" / "key"
        key.parent.mkdir()
        folder = machine.folder("notes", "--encrypt", "file", "--key-file", str(key))
        assert machine("status", "--offline", folder).code == 0
        key.rename(key.with_suffix(".away"))
        assert machine("status", "--offline", folder).code == 1

    def test_by_a_passphrase(self, machine: Machine) -> None:
        folder = machine.home / "notes"
        words = ("init", folder, "--encrypt", "passphrase")
        assert machine(*words).code == 2
        assert known(machine) == []
        assert machine.having(SYNCAPI_PASSPHRASE="correct horse")(*words).code == 0
        right = machine.having(SYNCAPI_PASSPHRASE="correct horse")("status", "--offline", folder)
        assert right.code == 0
        wrong = machine.having(SYNCAPI_PASSPHRASE="wrong horse")("status", "--offline", folder)
        assert wrong.code == 1
        assert "horse" not in wrong.err
        unknown = machine("status", "--offline", folder)
        assert (unknown.code, "SYNCAPI_PASSPHRASE" in unknown.err) == (2, True)

    def test_a_keyring_that_keeps_nothing_is_refused(self, machine: Machine) -> None:
        assert "no keyring can be used" in refused(
            machine, machine.home / "notes", "--encrypt", "keyring"
        )
