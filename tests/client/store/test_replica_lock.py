"""One process at a time, and none that has died."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from syncapi.client.errors import StoreBusy
from syncapi.client.store.lock import ReplicaLock

_HOLDER = """
import sys
from pathlib import Path
from syncapi.client.store.lock import ReplicaLock
with ReplicaLock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def _held_by_another(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        yield other
        other.kill()


def test_another_process_is_named(tmp_path: Path) -> None:
    with (
        _held_by_another(tmp_path) as other,
        pytest.raises(StoreBusy, match=rf"Process {other.pid} \(since 2.*\+00:00\)"),
        ReplicaLock(tmp_path),
    ):
        pass


def test_it_heals_when_a_process_is_killed(tmp_path: Path) -> None:
    with _held_by_another(tmp_path) as other:
        other.kill()
        other.wait()
        with ReplicaLock(tmp_path):
            pass


def test_it_is_let_go_of_at_the_end_even_after_an_error(tmp_path: Path) -> None:
    lock = ReplicaLock(tmp_path / "new folder")
    for _ in range(2):
        with pytest.raises(KeyError), lock:
            raise KeyError


def test_one_process_cannot_have_it_twice(tmp_path: Path) -> None:
    with (
        ReplicaLock(tmp_path),
        pytest.raises(StoreBusy, match=f"Process {os.getpid()}"),
        ReplicaLock(tmp_path),
    ):
        pass
    with ReplicaLock(tmp_path):
        pass
