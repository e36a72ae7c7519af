"""Every exit code, really produced, with its explanation; and how the command line fails."""

import json
import signal
import socket
from pathlib import Path

import pytest

from fixtures.machine import Machine, MakeMachine
from fixtures.service import token_of
from syncapi.server.domain.access import Role
from syncapi.server.settings import Settings


@pytest.fixture
def machine(machine: Machine) -> Machine:
    machine.log_in()
    return machine


@pytest.fixture
def folder(machine: Machine) -> Path:
    return machine.folder("notes")


def point_elsewhere(machine: Machine, url: str) -> None:
    """Have the account's server be somewhere else."""
    path = machine.config / "accounts.json"
    known = json.loads(path.read_text())
    known["accounts"]["default"]["url"] = url
    path.write_text(json.dumps(known))


def test_0_in_step(machine: Machine, folder: Path) -> None:
    (folder / "a").write_text("a")
    assert machine("sync", folder).code == 0


def test_1_the_state_cannot_be_read(machine: Machine, folder: Path) -> None:
    (store,) = machine.state.rglob("store.sqlite")
    store.write_bytes(b"nonsense" * 1000)
    ran = machine("sync", folder)
    assert ran.code == 1
    assert str(store.parent) in ran.err
    assert "next: " in ran.err
    assert "FAIL" in machine("doctor", folder).out.upper()


@pytest.mark.parametrize(
    "words",
    [
        ("sync", "--no-such-option"),
        ("sync", "a", "b"),
        ("conflicts",),
        ("conflicts", "resolve", "x"),
        ("conflicts", "resolve", "x", "--keep", "all"),
        ("init",),
        ("history",),
        ("sync", "/"),
    ],
    ids=" ".join,
)
def test_2_wrong_usage(machine: Machine, words: tuple[str, ...]) -> None:
    assert machine(*words).code == 2


def test_3_a_file_that_cannot_be_sent_stops_no_other(machine: Machine, folder: Path) -> None:
    (folder / "back\\slash").write_text("x")
    (folder / "fine").write_text("x")
    ran = machine("sync", folder, "--json")
    assert ran.code == 3
    assert [problem["path"] for problem in ran.of("problem")] == ["back\\slash"]
    assert [done["path"] for done in ran.of("done")] == ["fine"]
    said = machine("sync", "-q", folder)
    assert (said.code, "back\\slash: left alone: " in said.out) == (3, True)


def test_4_conflicts_remain(machine: Machine, folder: Path) -> None:
    other = machine.folder("other")
    (folder / "a").write_text("one")
    (other / "a").write_text("two")
    assert machine("sync", folder).code == 0
    ran = machine("sync", other)
    assert ran.code == 4
    assert "a: changed on both sides; yours is a (conflict " in ran.out
    assert "next: syncapi conflicts show PATH" in ran.out


@pytest.mark.parametrize("left", [0, 1])
def test_5_stopped_for_safety(machine: Machine, folder: Path, left: int) -> None:
    for number in range(20):
        (folder / str(number)).write_text(str(number))
    assert machine("sync", folder).code == 0
    for path in sorted(folder.iterdir())[left:]:
        path.unlink()
    for words in (("sync", folder), ("push", folder), ("sync", folder, "--json")):
        ran = machine(*words)
        assert ran.code == 5
        assert "--allow-mass-delete" in ran.err
    assert machine("sync", folder, "--allow-mass-delete").code == 0
    assert len(list(machine.folder("fresh").parent.glob("fresh/*"))) == 0


def test_6_a_token_that_is_not_valid(machine: Machine, folder: Path) -> None:
    ran = machine.having(SYNCAPI_TOKEN="nonsense")("sync", folder)
    assert ran.code == 6
    assert "next: `syncapi login`" in ran.err
    assert "request id: " in ran.err
    assert "nonsense" not in ran.err


def test_6_a_role_that_may_not_write(make_machine: MakeMachine) -> None:
    viewer = make_machine("viewer", Role.VIEWER)
    viewer.log_in()
    folder = viewer.folder("notes")
    assert viewer("pull", folder).code == 0
    (folder / "a").write_text("a")
    ran = viewer("sync", folder, "--json")
    assert ran.code == 6
    (failure,) = ran.of("failure")
    assert (failure["path"], failure["code"]) == ("a", "forbidden")
    assert "ask an admin" in failure["hint"]
    assert failure["request_id"]


def test_7_a_server_that_is_not_there(machine: Machine, folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nowhere = f"http://127.0.0.1:{listener.getsockname()[1]}"
    point_elsewhere(machine, nowhere)
    ran = machine("sync", folder, "--json")
    assert ran.code == 7
    assert nowhere in ran.of("error")[0]["message"]
    assert ran.of("error")[0]["hint"]
    assert machine("status", folder, "--offline").code == 0
    checked = machine("doctor", folder, "--json")
    assert checked.code == 7
    assert [f["what"] for f in checked.of("finding") if f["level"] == "fail"] == ["server"]


def test_sigterm_ends_a_sync_in_order(machine: Machine, folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, says nothing
        point_elsewhere(machine, f"http://127.0.0.1:{silent.getsockname()[1]}")
        process = machine.start("sync", folder)
        connection, _ = silent.accept()
        with connection:
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (143, "")
    assert "stopped by SIGTERM" in err
    assert "Traceback" not in err


def test_ctrl_c_ends_a_sync_in_order(machine: Machine, folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        point_elsewhere(machine, f"http://127.0.0.1:{silent.getsockname()[1]}")
        process = machine.start("sync", folder)
        connection, _ = silent.accept()
        with connection:
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped by Ctrl-C" in err
    assert "Traceback" not in err


def test_doctor_finds_all_well(machine: Machine, folder: Path, settings: Settings) -> None:
    user = machine.tenant.members[Role.ADMIN]
    machine = machine.having(SYNCAPI_TOKEN=token_of(settings, user, lifetime=90_000))
    (folder / "a").write_text("a")
    assert machine("sync", folder).code == 0
    ran = machine("doctor", folder, "--json")
    assert (ran.code, ran.summary["fail"]) == (0, 0), ran.out
    assert {f["what"]: f["level"] for f in ran.of("finding")} == {
        "folder": "ok",
        "writing": "ok",
        "disk of the folder": "ok",
        "local state": "ok",
        "server": "ok",
        "clock": "ok",
        "token": "ok",
        "permission": "ok",
        "signed URL, down": "ok",
        "signed URL, up": "ok",
    }


def test_doctor_warns_of_a_token_that_is_about_to_expire(machine: Machine) -> None:
    ran = machine("doctor")
    assert (ran.code, "warn  token: it expires in " in ran.out) == (0, True), ran.out


def test_doctor_says_what_a_viewer_may(make_machine: MakeMachine) -> None:
    viewer = make_machine("viewer", Role.VIEWER)
    viewer.log_in()
    ran = viewer("doctor")
    assert ran.code == 0
    assert "warn  permission: you may read only" in ran.out


def test_doctor_sees_that_it_talks_to_something_else(machine: Machine) -> None:
    point_elsewhere(machine, machine.url + "/docs")
    ran = machine("doctor")
    assert (ran.code, "not as syncapi does" in ran.out) == (1, True)
