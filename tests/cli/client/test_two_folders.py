"""The story of two folders, told by the real command: what one has the other gets."""

import os
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fixtures.machine import Machine, MakeMachine, terminal
from syncapi.client.folder.disk.exchanges import Exchange, FileNumber
from syncapi.client.folder.memory.conflicts import FolderConflicts
from syncapi.client.folder.memory.ledger import PathKeys
from syncapi.client.store.store import Store


@pytest.fixture
def machine(machine: Machine) -> Machine:
    machine.log_in()
    return machine


@pytest.fixture
def laptop(machine: Machine) -> Path:
    return machine.folder("laptop")


@pytest.fixture
def desktop(machine: Machine) -> Path:
    return machine.folder("desktop")


def synced(machine: Machine, *folders: Path) -> None:
    for folder in folders:
        ran = machine("sync", folder)
        assert ran.code == 0, ran.out + ran.err


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def conflict(machine: Machine, laptop: Path, desktop: Path) -> Path:
    """Edit a file on both sides; return the copy that the desktop keeps."""
    (laptop / "report.txt").write_text("one\ntwo\n")
    synced(machine, laptop, desktop)
    (laptop / "report.txt").write_text("one\nlaptop\n")
    (desktop / "report.txt").write_text("one\ndesktop\n")
    synced(machine, laptop)
    ran = machine("sync", desktop)
    assert ran.code == 4, ran.out + ran.err
    (copy,) = desktop.glob("report (conflict *).txt")
    return copy


def test_what_is_here_gets_there(machine: Machine, laptop: Path, desktop: Path) -> None:
    (laptop / "deep" / "down").mkdir(parents=True)
    (laptop / "a.txt").write_text("a")
    (laptop / "deep" / "down" / "ünï.bin").write_bytes(bytes(range(256)) * 100)
    (laptop / "empty").touch()
    ran = machine("sync", laptop)
    assert (ran.code, "Sent new 3, 25.0 KiB up. In step." in ran.out) == (0, True), ran.out
    synced(machine, desktop)
    assert files(desktop) == files(laptop)
    assert "Nothing to do" in machine("sync", laptop).out


def test_files_that_are_alike_do_not_meet_on_their_way(
    machine: Machine, laptop: Path, desktop: Path
) -> None:
    for number in range(30):
        (laptop / str(number)).write_bytes(b"the same bytes" * 50_000)
    synced(machine, laptop, desktop)
    assert files(desktop) == files(laptop)
    assert "Nothing to do" in machine("sync", desktop).out


def test_edits_renames_and_deletions(machine: Machine, laptop: Path, desktop: Path) -> None:
    for name in ("edited", "renamed", "deleted"):
        (laptop / name).write_text(name)
    synced(machine, laptop, desktop)
    (laptop / "edited").write_text("more")
    (laptop / "sub").mkdir()
    (laptop / "renamed").rename(laptop / "sub" / "new name")
    (laptop / "deleted").unlink()
    synced(machine, laptop)
    ran = machine("sync", desktop, "--json")
    done = {(event["action"], event["path"]) for event in ran.of("done")}
    assert done == {("download", "edited"), ("move", "sub/new name"), ("trash", "deleted")}
    assert ran.summary["counts"] == {"download": 1, "move": 1, "trash": 1}
    assert files(desktop) == {"edited": b"more", "sub/new name": b"renamed"}
    trash = [path.read_text() for path in machine.state.rglob("trash/*/deleted")]
    assert trash == ["deleted"]


def test_a_full_folder_adopts_what_is_the_same(machine: Machine, laptop: Path) -> None:
    (laptop / "same").write_text("same")
    (laptop / "other").write_text("laptop's")
    synced(machine, laptop)
    full = machine.home / "full"
    full.mkdir()
    (full / "same").write_text("same")
    (full / "other").write_text("full's")
    (full / "own").write_text("own")
    assert machine("init", full).code == 0
    ran = machine("sync", full, "--json")
    assert ran.code == 4
    assert ("adopt", "same") in {(e["action"], e["path"]) for e in ran.of("done")}
    assert (full / "other").read_text() == "laptop's"
    assert sorted(files(full).values()) == [b"full's", b"laptop's", b"own", b"same"]
    synced(machine, laptop)
    assert files(laptop) == files(full)


def test_a_dry_run_says_exactly_what_sync_does(
    machine: Machine, laptop: Path, desktop: Path
) -> None:
    for name in ("edited", "renamed", "deleted", "theirs", "clash"):
        (laptop / name).write_text(name)
    synced(machine, laptop, desktop)
    (desktop / "theirs").write_text("changed there")
    (desktop / "clash").write_text("clash there")
    (desktop / "new there").write_text("n")
    synced(machine, desktop)
    (laptop / "edited").write_text("edited here")
    (laptop / "renamed").rename(laptop / "moved")
    (laptop / "deleted").unlink()
    (laptop / "new here").write_text("h")
    (laptop / "clash").write_text("clash here")
    before = files(laptop)
    dry = machine("sync", laptop, "--dry-run", "--json")
    assert (dry.code, files(laptop)) == (3, before)
    assert machine("status", laptop, "--json").of("planned") == dry.of("planned")
    assert machine("sync", laptop, "--dry-run", "--json").of("planned") == dry.of("planned")
    wet = machine("sync", laptop, "--json")
    assert wet.code == 4
    planned = [(event["action"], event["path"]) for event in dry.of("planned")]
    assert sorted(planned) == sorted((e["action"], e["path"]) for e in wet.of("done"))
    assert {action for action, _ in planned} >= {
        *("create", "update", "delete", "download", "set_aside")
    }
    assert dry.summary["counts"] == wet.summary["counts"]


def test_status_looks_and_touches_nothing(machine: Machine, laptop: Path) -> None:
    assert machine("status", laptop).code == 0
    (laptop / "a").write_text("a")
    for words in ((), ("--offline",)):
        ran = machine("status", laptop, *words)
        assert (ran.code, "A sync would send new 1." in ran.out) == (3, True)
    assert machine("status", "-q", laptop).out == ""


def test_pull_sends_nothing_and_push_fetches_nothing(
    machine: Machine, laptop: Path, desktop: Path
) -> None:
    (laptop / "from laptop").write_text("l")
    (desktop / "from desktop").write_text("d")
    synced(machine, laptop)
    assert machine("push", desktop).code == 3, "another file waits to be fetched"
    assert set(files(desktop)) == {"from desktop"}
    (laptop / "later").write_text("x")
    assert machine("pull", laptop).code == 3, "another file waits to be sent"
    assert set(files(laptop)) == {"from laptop", "from desktop", "later"}
    assert machine("pull", desktop).code == 0
    assert set(files(desktop)) == {"from laptop", "from desktop"}


def test_a_conflict_keeps_both_and_is_seen_everywhere(
    machine: Machine, laptop: Path, desktop: Path
) -> None:
    copy = conflict(machine, laptop, desktop)
    assert "desktop" in copy.name
    assert copy.read_text() == "one\ndesktop\n"
    assert (desktop / "report.txt").read_text() == "one\nlaptop\n"
    synced(machine, laptop)
    assert files(laptop) == files(desktop)
    assert machine("sync", desktop).code == 4  # until somebody has decided
    assert machine("status", desktop).code == 4
    listed = machine("conflicts", "list", desktop, "--json")
    assert listed.code == 4
    assert [(c["path"], c["copy_path"]) for c in listed.of("conflict")] == [
        ("report.txt", copy.name)
    ]
    shown = machine("conflicts", "show", desktop / "report.txt")
    assert shown.code == 0
    assert "\n-laptop\n+desktop\n" in shown.out
    assert "nothing shows which is whose" not in shown.out


def test_a_conflict_of_which_nothing_shows_which_file_is_whose(
    machine: Machine, laptop: Path, desktop: Path
) -> None:
    """A decision was broken off, and somebody has saved both files anew since."""
    copy = conflict(machine, laptop, desktop)
    (state,) = (path.parent for path in machine.state.rglob("store.sqlite") if _has_conflict(path))
    neither = FileNumber(inode=1, birth_ns=1)
    with Store.open(state) as store:
        conflicts = FolderConflicts(store, PathKeys(store), lambda: datetime.now(UTC))
        (found,) = conflicts.all()
        conflicts.note_exchange(found, Exchange(neither, neither))
    for file in (desktop / "report.txt", copy):
        file.write_text(f"{file.name}, saved anew\n")

    shown = machine("conflicts", "show", desktop / "report.txt", "--json")
    told = machine("conflicts", "show", desktop / "report.txt")

    assert [compared["sides_known"] for compared in shown.of("compared")] == [False]
    assert (told.code, "nothing shows which is whose" in told.out) == (0, True), told


def _has_conflict(path: Path) -> bool:
    with Store.open(path.parent) as store:
        return bool(FolderConflicts(store, PathKeys(store), lambda: datetime.now(UTC)).all())


@pytest.mark.parametrize(
    ("keep", "left"),
    [
        ("mine", ["one\ndesktop\n"]),
        ("theirs", ["one\nlaptop\n"]),
        ("both", ["one\ndesktop\n", "one\nlaptop\n"]),
    ],
)
def test_a_conflict_is_resolved(
    machine: Machine, laptop: Path, desktop: Path, keep: str, left: list[str]
) -> None:
    copy = conflict(machine, laptop, desktop)
    ran = machine("conflicts", "resolve", copy, "--keep", keep)
    assert ran.code == 0, ran.out + ran.err
    synced(machine, laptop, desktop)
    assert files(laptop) == files(desktop)
    assert sorted(text.decode() for text in files(desktop).values()) == left
    assert "No conflicts." in machine("conflicts", "list", desktop).out
    again = machine("conflicts", "resolve", copy, "--keep", keep)
    assert (again.code, "has no conflict" in again.err) == (2, True)


def test_history_and_restoring(machine: Machine, laptop: Path, desktop: Path) -> None:
    file = laptop / "sub" / "report.txt"
    file.parent.mkdir()
    for text in ("first", "second"):
        file.write_text(text)
        synced(machine, laptop)
    versions = machine("history", file, "--json").of("version")
    assert len(versions) == 2
    first = versions[-1]["updated_at"]
    assert first in machine("history", file).out
    assert machine("restore", file).code == 2  # which version?
    assert machine("restore", file, "--version", "1999").code == 2
    ran = machine("restore", file, "--version", first)
    assert (ran.code, file.read_text()) == (0, "first"), ran.err
    synced(machine, desktop)
    assert (desktop / "sub" / "report.txt").read_text() == "first"


def test_a_deleted_file_comes_back(machine: Machine, laptop: Path) -> None:
    for name in ("a", "b", "kept"):
        (laptop / name).write_text(name)
    synced(machine, laptop)
    for name in ("a", "b"):
        (laptop / name).unlink()
    synced(machine, laptop)
    deleted = machine("history", laptop / "a", "--json").of("version")
    assert [version["is_deleted"] for version in deleted] == [True, False]
    assert machine("restore", laptop / "a", "--no-pull").code == 0
    assert set(files(laptop)) == {"kept"}
    assert machine("restore", laptop / "b").code == 0
    assert files(laptop) == {"a": b"a", "b": b"b", "kept": b"kept"}
    never = machine("restore", laptop / "c")
    assert (never.code, "no document c" in never.err) == (1, True)


def test_diff_of_text_and_of_bytes(machine: Machine, laptop: Path) -> None:
    (laptop / "text").write_text("a\nb\n")
    (laptop / "bytes").write_bytes(b"\0" * 2048)
    synced(machine, laptop)
    assert machine("diff", laptop / "text").code == 0
    assert machine("diff", cwd=laptop).out == "No difference.\n"
    (laptop / "text").write_text("a\nB\n")
    (laptop / "bytes").write_bytes(b"\0" * 1024)
    ran = machine("diff", cwd=laptop)
    assert ran.code == 3
    assert "--- server/text\n+++ here/text\n@@ -1,2 +1,2 @@\n a\n-b\n+B\n" in ran.out
    assert "- server/bytes: 2.0 KiB, sha256 " in ran.out
    assert "+ here/bytes: 1.0 KiB, sha256 " in ran.out
    assert machine("diff", laptop / "text", "--json").summary["differing"] == 1


def test_check_reads_every_byte(machine: Machine, laptop: Path) -> None:
    (laptop / "kept").write_text("kept")
    (laptop / "rotten").write_text("good")
    synced(machine, laptop)
    assert "2 files, the same on both sides." in machine("check", laptop).out
    stat = (laptop / "rotten").stat()
    (laptop / "rotten").write_text("evil")
    os.utime(laptop / "rotten", ns=(stat.st_atime_ns, stat.st_mtime_ns))  # as a failing disk does
    ran = machine("check", laptop, "--json")
    assert (ran.code, ran.summary["is_well"]) == (3, False)
    assert {e["path"]: e["state"] for e in ran.of("checked")} == {
        "kept": "ok",
        "rotten": "different",
    }


def test_what_is_ignored_is_named(machine: Machine, laptop: Path, desktop: Path) -> None:
    (laptop / ".syncignore").write_text("*.tmp\n")
    (laptop / "a.tmp").touch()
    (laptop / "a.txt").touch()
    (laptop / "link").symlink_to("a.txt")
    synced(machine, laptop, desktop)
    named = {e["path"] for e in machine("ignored", laptop, "--json").of("ignored")}
    assert named == {"a.tmp", "link"}
    assert "a.tmp" not in files(desktop)
    assert "a.txt" in files(desktop)


def test_a_name_that_could_fool_a_terminal_is_written_as_an_escape(
    machine: Machine, laptop: Path
) -> None:
    (laptop / "evil\x1b[2J\u202etxt").touch()
    ran = machine("status", laptop)
    assert r"evil\x1b[2J\u202etxt" in ran.out
    assert "\x1b" not in ran.out
    machine("status", laptop, "--json").events  # noqa: B018 - it is read line by line


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_watch_keeps_two_folders_in_step(machine: Machine, laptop: Path, desktop: Path) -> None:
    watchers = [
        machine.start("watch", folder, "--poll", "0.2", "--debounce", "0.1", "--json")
        for folder in (laptop, desktop)
    ]
    try:
        for watcher in watchers:
            assert watcher.stdout is not None
            assert '"watching"' in watcher.stdout.readline()
        (laptop / "kept").touch()  # an emptied folder would stop them
        (laptop / "a").write_text("a")
        wait_for((desktop / "a").exists)
        (desktop / "a").rename(desktop / "b")
        wait_for(lambda: (laptop / "b").exists() and not (laptop / "a").exists())
        (laptop / "b").unlink()
        wait_for(lambda: not (desktop / "b").exists())
        for watcher in watchers:
            watcher.send_signal(signal.SIGTERM)
        for watcher in watchers:
            out, err = watcher.communicate(timeout=60)
            assert (watcher.returncode, err) == (0, "")
            assert '"summary", "exit_code": 0' in out.splitlines()[-1]
    finally:
        for watcher in watchers:
            watcher.kill()
    assert files(laptop) == files(desktop) == {"kept": b""}


def test_a_folder_that_is_watched_can_be_looked_at(machine: Machine, laptop: Path) -> None:
    watcher = machine.start("watch", laptop, "--poll", "0.2", "--json")
    try:
        assert watcher.stdout is not None
        assert '"watching"' in watcher.stdout.readline()
        busy = machine("sync", laptop)
        assert (busy.code, f"Process {watcher.pid} " in busy.err) == (1, True)
        ran = machine("status", laptop, "--json")
        assert (ran.code, len(ran.of("busy"))) == (0, 1)
        assert machine("conflicts", "list", laptop).code == 0
        assert machine("ignored", laptop).code == 0
        (laptop / "file").write_text("first")
        wait_for(lambda: machine("history", laptop / "file").code == 0)
        (laptop / "file").unlink()
        (laptop / "other").touch()
        wait_for(lambda: len(machine("history", laptop / "file", "--json").of("version")) > 1)
        assert machine("restore", laptop / "file").code == 0
        wait_for((laptop / "file").exists)
    finally:
        watcher.send_signal(signal.SIGTERM)
        watcher.communicate(timeout=60)
    assert machine("sync", laptop).code == 0


def test_a_mass_deletion_is_asked_about_on_a_terminal(
    machine: Machine, laptop: Path, desktop: Path
) -> None:
    for number in range(12):
        (laptop / str(number)).write_text(str(number))
    synced(machine, laptop, desktop)
    for path in laptop.iterdir():
        path.unlink()
    (laptop / "left").write_text("left")
    for answer, code, left in (("n", 5, 12), ("y", 0, 0)):
        with terminal(machine, "sync", laptop) as shell:
            shell.read_until("[y/N]: ")
            shell.type(answer)
            shell.read_until_end()
            assert shell.process.wait(60) == code
        assert machine("pull", desktop, "--allow-mass-delete").code == 0
        assert len(files(desktop)) - (desktop / "left").exists() == left


def test_two_machines_of_two_people(
    machine: Machine, laptop: Path, make_machine: MakeMachine
) -> None:
    other = make_machine("other")
    other.log_in()
    folder = other.folder("copy")
    (laptop / "a").write_text("a")
    synced(machine, laptop)
    synced(other, folder)
    assert files(folder) == {"a": b"a"}
