"""The real command, killed in the middle of its work: the next one goes on."""

import contextlib
import signal
import subprocess
import time
from pathlib import Path

import pytest

from fixtures.machine import Machine

FILES = 120


def texts(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


@pytest.fixture
def machine(machine: Machine) -> Machine:
    machine.log_in()
    return machine


def kill_after(process: subprocess.Popen[str], folder: Path, files: int) -> None:
    """SIGKILL once a folder has so many whole files, unless it has ended by then."""
    while process.poll() is None:
        whole = [path for path in folder.iterdir() if not path.name.startswith(".~")]
        if len(whole) >= files:
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.005)
    process.communicate()


def test_killed_while_it_fetches(machine: Machine) -> None:
    laptop, desktop = machine.folder("laptop"), machine.folder("desktop")
    for number in range(FILES):
        (laptop / f"{number}.txt").write_text(f"text {number}")
    assert machine("sync", laptop).code == 0
    for files in (10, 60):
        kill_after(machine.start("sync", desktop), desktop, files)
    ran = machine("sync", desktop)
    assert ran.code == 0, ran.out + ran.err
    assert texts(desktop) == texts(laptop)
    assert "Nothing to do" in machine("sync", desktop).out
    assert len(list(desktop.iterdir())) == FILES


def test_killed_while_it_sends(machine: Machine) -> None:
    laptop, desktop = machine.folder("laptop"), machine.folder("desktop")
    for number in range(FILES):
        (laptop / f"{number}.txt").write_text(f"text {number}")
    for pause in (0.6, 0.9, 1.2):
        process = machine.start("sync", laptop)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(pause)
        process.kill()
        process.communicate()
    ran = machine("sync", laptop)
    assert ran.code == 0, ran.out + ran.err
    assert machine("sync", desktop).code == 0
    assert texts(desktop) == texts(laptop)
    assert len(texts(desktop)) == FILES
