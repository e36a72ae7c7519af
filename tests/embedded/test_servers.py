"""Embedded servers: started, stopped, crashed, recovered; and never a process left behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from redis import Redis
from typing_extensions import override

from syncapi.embedded import EmbeddedError, PostgresServer, S3Server, ValkeyServer
from syncapi.embedded.child import Command
from syncapi.embedded.ports import LOOPBACK
from syncapi.embedded.processes import ProcessId, descendants, wait_gone
from syncapi.embedded.psql import psql
from syncapi.embedded.server import Server

SECONDS = 30.0

KINDS: list[type[Server]] = [PostgresServer, S3Server, ValkeyServer]


def write(server: Server) -> None:
    """Leave a mark that `read` finds."""
    if isinstance(server, PostgresServer):
        psql(server.admin_url, "CREATE TABLE mark AS SELECT 'kept' AS text")
    elif isinstance(server, S3Server):
        server._client.put_object(Bucket=server.bucket, Key="mark", Body=b"kept")
    elif isinstance(server, ValkeyServer):
        with Redis.from_url(server.url) as redis:
            redis.set("mark", "kept")
            redis.waitaof(1, 0, 10_000)  # on disk, so that a crash leaves it


def read(server: Server) -> str | None:
    if isinstance(server, PostgresServer):
        return psql(server.admin_url, "SELECT text FROM mark")
    if isinstance(server, S3Server):
        try:
            body = server._client.get_object(Bucket=server.bucket, Key="mark")["Body"].read()
        except ClientError:
            return None
        return str(body, "ascii")
    assert isinstance(server, ValkeyServer)
    with Redis.from_url(server.url, decode_responses=True) as redis:
        text: str | None = redis.get("mark")
        return text


def family(server: Server) -> list[ProcessId]:
    """The server's process and all below it."""
    assert server.pid is not None
    root = ProcessId.of(server.pid)
    assert root is not None
    return [root, *descendants(server.pid)]


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    server: Server = request.param(tmp_path / "server")
    with server:
        yield server


def test_data_secrets_and_port_survive_a_restart(server: Server) -> None:
    write(server)
    port, processes = server.port, family(server)
    server.stop()
    assert not wait_gone(processes, 0)
    again = type(server)(server.folder.path)
    with again:
        assert read(again) == "kept"
        assert again.port == port


def test_data_survives_a_crash(server: Server) -> None:
    write(server)
    processes = family(server)
    server.kill()
    assert not wait_gone(processes, 0)
    server.start()
    assert read(server) == "kept"


def test_a_crash_that_nobody_saw_is_recovered(server: Server) -> None:
    """The process is killed, but not by us: a backend, a lock, a record may be left."""
    write(server)
    process = family(server)[0]
    process.send(signal.SIGKILL)
    assert not wait_gone([process], SECONDS)
    server.start()
    assert read(server) == "kept"


def test_a_folder_serves_one_at_a_time(server: Server) -> None:
    with pytest.raises(EmbeddedError, match=f"in use by process {os.getpid()}"):
        type(server)(server.folder.path).start()
    assert server.is_running


def test_a_server_outlives_the_thread_that_started_it(server: Server) -> None:
    server.stop()
    thread = threading.Thread(target=server.start)
    thread.start()
    thread.join()
    write(server)
    assert read(server) == "kept"


@pytest.mark.parametrize("kind", KINDS)
def test_a_taken_port_is_named(kind: type[Server], tmp_path: Path) -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(EmbeddedError, match=f"port {port} is taken"):
            kind(tmp_path, port).start()


def test_s3_starts_on_other_ports_where_the_first_are_of_no_use(tmp_path: Path) -> None:
    """As where another user's server has left a socket for one of them behind."""

    class Unlucky(S3Server):
        start_seconds = 30.0
        starts = 0

        @override
        def _command(self) -> Command:
            self.starts += 1
            return Command(["sleep", "1"]) if self.starts == 1 else super()._command()

    with Unlucky(tmp_path, durable=False) as server:
        assert server.starts == 2


def test_s3_leaves_nothing_outside_its_folder(tmp_path: Path) -> None:
    server = S3Server(tmp_path, durable=False)
    with server:
        assert list((tmp_path / "logs").iterdir())
        sockets = list(server._sockets())
        assert any(socket.exists() for socket in sockets)
    assert not any(socket.exists() for socket in sockets)


def test_a_remembered_port_that_is_taken_now_is_replaced(tmp_path: Path) -> None:
    server = ValkeyServer(tmp_path)
    with server:
        write(server)
        port = server.port
    with socket.create_server((LOOPBACK, port)), ValkeyServer(tmp_path) as again:
        assert again.port != port
        assert read(again) == "kept"


def test_a_start_can_be_stopped_from_another_thread(tmp_path: Path) -> None:
    server = ValkeyServer(tmp_path)
    server._is_ready = lambda: False  # type: ignore[method-assign]  # never ready
    with ThreadPoolExecutor() as threads:
        start = threads.submit(server.start)
        while not server.is_running:
            assert not start.done()
        server.stop()
        with pytest.raises(EmbeddedError, match="stopped while it started"):
            start.result()
    assert not server.is_running


def test_what_ends_while_starting_tells_its_log(tmp_path: Path) -> None:
    server = PostgresServer(tmp_path, settings={"shared_buffers": "a lot"}, durable=False)
    with pytest.raises(EmbeddedError, match='invalid value for parameter "shared_buffers"'):
        server.start()
    assert not server.is_running


def test_an_interrupted_initdb_is_done_again(tmp_path: Path) -> None:
    (tmp_path / "data" / "base").mkdir(parents=True)
    (tmp_path / "data" / "PG_VERSION").write_text("18\n")
    with PostgresServer(tmp_path, durable=False) as server:
        assert psql(server.admin_url, "SELECT 1") == "1"


def test_a_server_takes_nothing_that_outlives_its_folder(tmp_path: Path) -> None:
    """A killed one would leave it in the machine's shared memory."""
    with PostgresServer(tmp_path, durable=False) as server:
        pid = (server.cluster / "postmaster.pid").read_text().split()[0]
        mapped = Path(f"/proc/{pid}/maps").read_text()
        assert str(server.cluster / "pg_dynshmem") in mapped
        assert "/dev/shm/" not in mapped


def test_a_stale_lock_that_names_a_stranger_is_no_obstacle(tmp_path: Path) -> None:
    with PostgresServer(tmp_path, durable=False) as server:
        lock = (server.cluster / "postmaster.pid").read_text()
    stranger = lock.replace(lock.splitlines()[0], str(os.getppid()), 1)
    (server.cluster / "postmaster.pid").write_text(stranger)
    with server:
        assert psql(server.admin_url, "SELECT 1") == "1"


def test_a_process_of_an_earlier_run_is_ended(tmp_path: Path) -> None:
    leftover = subprocess.Popen(["sleep", "1000"])
    process = ProcessId.of(leftover.pid)
    assert process is not None
    (tmp_path / "process.json").write_text(json.dumps(asdict(process)))
    with ValkeyServer(tmp_path):
        assert leftover.wait(SECONDS) == -signal.SIGTERM


def test_a_stranger_with_the_pid_of_an_earlier_run_is_left_alone(tmp_path: Path) -> None:
    stranger = subprocess.Popen(["sleep", "1000"])
    try:
        process = ProcessId.of(stranger.pid)
        assert process is not None
        record = asdict(process) | {"started": process.started - 1}
        (tmp_path / "process.json").write_text(json.dumps(record))
        with ValkeyServer(tmp_path):
            assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


ORPHANING = """
import sys, time
from pathlib import Path
from syncapi.embedded import EmbeddedServices
services = EmbeddedServices(Path(sys.argv[1]))
services.start()
print("started", flush=True)
time.sleep(1000)
"""


def test_no_server_outlives_a_killed_parent(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", ORPHANING, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    with parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "started\n"
        children = descendants(parent.pid)
        assert len(children) > 3
        parent.kill()
    assert not wait_gone(children, SECONDS)
    for kind, name in zip(KINDS, ("postgres", "s3", "valkey"), strict=True):
        with kind(tmp_path / name) as server:
            assert server.is_running
