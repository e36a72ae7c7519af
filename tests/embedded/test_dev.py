"""`syncapi dev`, as `make run` starts it: from nothing, once more, and after crashes."""

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from syncapi.cli.dev.environment import DATABASE
from syncapi.embedded import EmbeddedServices
from syncapi.embedded.ports import LOOPBACK, free_port
from syncapi.embedded.processes import ProcessId, descendants, wait_gone
from syncapi.embedded.psql import psql

SECONDS = 180.0
READY = "Ctrl-C stops everything; the data stays."

NAMES = {
    "SYNCAPI_URL",
    "SYNCAPI_TENANT",
    "SYNCAPI_TOKEN",
    "SYNCAPI_TOKEN_USER",
    "SYNCAPI_TOKEN_VIEWER",
    "SYNCAPI_DATABASE_URL",
    "SYNCAPI_REDIS_URL",
    "SYNCAPI_S3_ENDPOINT_URL",
    "SYNCAPI_S3_BUCKET",
    "SYNCAPI_S3_ACCESS_KEY_ID",
    "SYNCAPI_S3_SECRET_ACCESS_KEY",
}

Values = Mapping[str, str]


class Run:
    """`syncapi dev` in `folder`, up and running."""

    def __init__(self, folder: Path, port: int, environment: Values | None = None) -> None:
        self.folder = folder
        self._log = folder.with_suffix(".log")
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                _command(folder, port),
                cwd=folder.parent,
                env={**os.environ, **(environment or {})},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            self.wait_for(READY)
        except BaseException:
            self.end(signal.SIGTERM)
            raise
        lines = shlex.split((folder / "dev.env").read_text())
        self.values = dict(line.split("=", 1) for line in lines)

    def wait_for(self, text: str) -> None:
        """Wait until it has printed `text`."""
        deadline = time.monotonic() + SECONDS
        while text not in self.output:
            assert self.process.poll() is None, f"ended before {text!r}:\n{self.output}"
            assert time.monotonic() < deadline, f"never came to {text!r}:\n{self.output}"
            time.sleep(0.05)

    @property
    def output(self) -> str:
        return self._log.read_text()

    def sync(self, token: str | None = None) -> httpx.Response:
        return httpx.get(
            f"{self.base}/documents/sync",
            params={"since": "1970-01-01T00:00:00Z", "per_page": 500},
            timeout=SECONDS,
            headers={"Authorization": f"Bearer {token or self.values['SYNCAPI_TOKEN']}"},
        )

    @property
    def base(self) -> str:
        return f"{self.values['SYNCAPI_URL']}/api/tenants/{self.values['SYNCAPI_TENANT']}"

    @property
    def children(self) -> list[ProcessId]:
        return descendants(self.process.pid)

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(SECONDS)


def _command(folder: Path, port: int) -> tuple[str, ...]:
    options = (f"--data-dir={folder}", f"--port={port}")
    return (sys.executable, "-m", "syncapi", "dev", *options)


def refused(folder: Path, port: int) -> str:
    """What `syncapi dev` says where it does not start."""
    ended = subprocess.run(
        _command(folder, port), capture_output=True, text=True, check=False, timeout=SECONDS
    )
    assert ended.returncode == 1
    return ended.stderr


@contextmanager
def running(folder: Path, port: int, environment: Values | None = None) -> Iterator[Run]:
    run = Run(folder, port, environment)
    try:
        yield run
    finally:
        if run.process.poll() is None:
            run.end(signal.SIGTERM)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("dev") / "data"
    with running(folder, free_port(), {"NO_COLOR": "1"}) as run:
        yield run


def test_the_printed_command_syncs_the_demo(run: Run) -> None:
    command = next(line for line in run.output.splitlines() if line.startswith("curl "))
    *_, header, url = shlex.split(command)
    name, _, value = header.partition(": ")
    answer = httpx.get(url, headers={name: value}, timeout=SECONDS).json()
    assert len(answer["data"]["added"]) >= 36
    assert answer["data"]["has_more"] is False
    assert run.values["SYNCAPI_TOKEN"] in run.output
    assert f"{run.values['SYNCAPI_URL']}/docs" in run.output


def test_the_demo_is_of_many_kinds(run: Run) -> None:
    documents = run.sync().json()["data"]["added"]
    assert len({document["mime_type"] for document in documents}) >= 15
    sizes = [document["file"]["file_size"] for document in documents]
    assert min(sizes) == 0
    assert max(sizes) > 3_000_000


def test_every_file_of_the_demo_can_be_downloaded(run: Run) -> None:
    for document in run.sync().json()["data"]["added"]:
        content = httpx.get(document["download_url"], timeout=SECONDS).raise_for_status().content
        assert len(content) == document["file"]["file_size"], document["filename"]


def test_the_env_file_has_exactly_what_is_promised(run: Run) -> None:
    assert set(run.values) == NAMES


def test_the_env_file_is_for_its_owner_only(run: Run) -> None:
    assert (run.folder / "dev.env").stat().st_mode & 0o777 == 0o600


def test_the_three_tokens_are_of_three_roles(run: Run) -> None:
    files = {"file": ("a.txt", b"a", "text/plain")}
    statuses = {}
    for role in ("TOKEN", "TOKEN_USER", "TOKEN_VIEWER"):
        headers = {"Authorization": f"Bearer {run.values[f'SYNCAPI_{role}']}"}
        with httpx.Client(base_url=run.base, headers=headers, timeout=SECONDS) as member:
            created = member.post("/documents", files=files)
            removed = None
            if created.is_success:
                url = f"/documents/{created.json()['data']['document']['id']}"
                removed = member.delete(url, params={"hard": True}).status_code
            statuses[role] = (created.status_code, removed)
    assert statuses == {"TOKEN": (201, 200), "TOKEN_USER": (201, 403), "TOKEN_VIEWER": (403, None)}


def test_the_database_is_the_tenants(run: Run) -> None:
    tenant = run.values["SYNCAPI_TENANT"]
    query = f"SELECT count(*) > 35 FROM documents WHERE tenant_id = '{tenant}'"
    assert psql(run.values["SYNCAPI_DATABASE_URL"], query) == "t"


def test_a_second_run_in_the_folder_is_refused(run: Run) -> None:
    assert f"in use by process {run.process.pid}" in refused(run.folder, free_port())
    assert run.sync().is_success


def test_a_killed_server_is_started_again(run: Run) -> None:
    postgres = next(child for child in run.children if _name(child) == "postgres")
    postgres.send(signal.SIGKILL)
    run.wait_for("PostgreSQL is up again")
    assert run.sync().is_success


def _name(process: ProcessId) -> str:
    return Path(f"/proc/{process.pid}/comm").read_text().strip()


def test_a_taken_port_is_named_with_the_way_out(tmp_path: Path) -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        said = refused(tmp_path, port)
    assert f"port {port} of {LOOPBACK} is taken" in said
    assert f"make run PORT={port + 1}" in said


@pytest.mark.slow
def test_data_secrets_and_demo_survive_stops_and_crashes(tmp_path: Path) -> None:
    folder, port = tmp_path / "data", free_port()
    # What names real databases must not be touched, also in a .env of the folder above.
    elsewhere = {"SYNCAPI_CONTROL_DATABASE_URL": "postgresql://u:p@127.0.0.1:1/real"}
    (tmp_path / ".env").write_text("SYNCAPI_REDIS_URL=redis://127.0.0.1:1/0\n")
    with running(folder, port, elsewhere) as first:
        token, before = first.values["SYNCAPI_TOKEN"], first.sync().json()["data"]["added"]
        children = first.children
        assert first.end(signal.SIGINT) == 0
        assert not wait_gone(children, 0)
    with running(folder, port) as second:
        assert _ids(second.sync(token)) == {document["id"] for document in before}
        assert "Uploading" not in second.output
        children = second.children
        second.end(signal.SIGKILL)  # only the parent: the others follow by themselves
        assert not wait_gone(children, SECONDS)
    with running(folder, port) as third:
        for process in [*third.children, *filter(None, [ProcessId.of(third.process.pid)])]:
            process.send(signal.SIGKILL)  # everything, as the power would
        third.process.wait(SECONDS)
    with running(folder, port) as fourth:
        assert _ids(fourth.sync(token)) == {document["id"] for document in before}
        children = fourth.children
        assert fourth.end(signal.SIGTERM) == 0
        assert not wait_gone(children, 0)


@pytest.mark.slow
def test_a_folder_of_another_version_is_named_with_the_way_out(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with EmbeddedServices(folder) as services:
        url = services.postgres.create_database(DATABASE)
        psql(
            url,
            "CREATE TABLE alembic_version_tenant (version_num text);"
            "INSERT INTO alembic_version_tenant VALUES ('tenant_0012')",
        )
    said = refused(folder, free_port())
    assert "tenant_0012, which this version of syncapi does not know" in said
    assert f"rm -r {folder}" in said
    with EmbeddedServices(folder) as services:
        query = "SELECT version_num FROM alembic_version_tenant"
        assert psql(services.postgres.url(DATABASE), query) == "tenant_0012"


def _ids(answer: httpx.Response) -> set[str]:
    return {document["id"] for document in answer.raise_for_status().json()["data"]["added"]}
