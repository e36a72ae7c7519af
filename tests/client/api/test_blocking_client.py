"""The client without ``await``: in scripts, in threads, in a thread of an event loop."""

import asyncio
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest

from fixtures.client_faults import FaultyTransport, WatchedRetries, answer_lost
from fixtures.service import TestTenant
from syncapi.client import BlockingClient, Client, NotFound
from syncapi.client.api.blocking import BlockingClient as Original
from syncapi.protocol.documents import DocumentChanges
from syncapi.server.domain.access import Role

_SCRIPT = """
import sys
from pathlib import Path
from uuid import UUID

from syncapi.client import BlockingClient

url, tenant, token, folder = sys.argv[1:]
source, copy = Path(folder, "source.txt"), Path(folder, "copy.txt")
with BlockingClient(url, UUID(tenant), token) as client:
    document = client.upload(source)
    client.download(document.id, copy)
    print([version.filename for version in client.versions(document.id)])
"""


@pytest.fixture
def token(tenant: TestTenant) -> str:
    return tenant.tokens[Role.ADMIN]


def test_it_works_in_a_script(
    service_url: str, tenant: TestTenant, token: str, tmp_path: Path
) -> None:
    (tmp_path / "source.txt").write_text("by a script")
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "error",
            "-c",
            _SCRIPT,
            service_url,
            str(tenant.id),
            token,
            tmp_path,
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )
    assert done.stdout == b"['source.txt']\n"
    assert done.stderr == b""
    assert (tmp_path / "copy.txt").read_text() == "by a script"


def _use(url: str, tenant: TestTenant, token: str) -> list[str]:
    with BlockingClient(url, tenant.id, token) as client:
        document = client.upload_document(b"one", "0.txt")
        for number in range(1, 3):
            client.change_document(document.id, DocumentChanges(filename=f"{number}.txt"))
        with client.archive([document.id], "tar") as pieces:
            assert b"2.txt" in b"".join(pieces)
        with pytest.raises(NotFound):
            client.document(uuid4())
        assert client.poll(client.pull(cursor=None).sync_token).page is not None
        return [version.filename for version in client.versions(document.id)]


async def test_it_works_in_a_thread_of_a_loop(
    service_url: str, tenant: TestTenant, token: str
) -> None:
    names = await asyncio.to_thread(_use, service_url, tenant, token)
    assert names == ["2.txt", "1.txt", "0.txt"]


def test_it_works_without_a_loop_and_leaves_no_thread(
    service_url: str, tenant: TestTenant, token: str
) -> None:
    """In a process of its own: the service of the tests begins threads when it likes."""
    script = """
import sys, threading, uuid
from syncapi.client import BlockingClient
before = threading.active_count()
with BlockingClient(sys.argv[1], uuid.UUID(sys.argv[2]), sys.argv[3]) as client:
    client.upload_document(b"one", "0.txt")
    during = threading.active_count()
for thread in threading.enumerate():  # one that has been told to end may need a moment for it
    if thread is not threading.main_thread():
        thread.join(60)
print(before, during > before, threading.active_count())
"""
    done = subprocess.run(
        [sys.executable, "-c", script, service_url, str(tenant.id), token],
        capture_output=True,
        check=True,
        timeout=120,
    )
    assert done.stdout.split() == [b"1", b"True", b"1"]


def test_many_threads_share_it(service_url: str, tenant: TestTenant, token: str) -> None:
    with BlockingClient(service_url, tenant.id, token) as client, ThreadPoolExecutor(8) as pool:
        contents = [b"content %d" % number for number in range(20)]
        made = list(pool.map(lambda data: client.upload_document(data, "a.txt"), contents))
        found = list(pool.map(lambda document: client.document(document.id), made))
    assert found == made


def test_it_retries_and_takes_a_transport(
    service_url: str, tenant: TestTenant, token: str
) -> None:
    transport = FaultyTransport()
    transport.break_next(answer_lost)
    retry = WatchedRetries()
    with BlockingClient(service_url, tenant.id, token, transport=transport, retry=retry) as client:
        client.upload_document(b"one", "one.txt")
        assert len(client.documents().documents) == 1
    assert len(retry.waits) == 1


def test_a_failure_inside_ends_it_cleanly(
    service_url: str, tenant: TestTenant, token: str
) -> None:
    before = threading.active_count()
    with pytest.raises(NotFound), BlockingClient(service_url, tenant.id, token) as client:
        client.document(uuid4())
    assert threading.active_count() == before


def test_an_iterator_may_be_left_early(service_url: str, tenant: TestTenant, token: str) -> None:
    with BlockingClient(service_url, tenant.id, token) as client:
        document = client.upload_document(b"one", "0.txt")
        client.change_document(document.id, DocumentChanges(filename="1.txt"))
        assert next(client.versions(document.id)).filename == "1.txt"


def test_it_is_entered_first(service_url: str, tenant: TestTenant, token: str) -> None:
    client = BlockingClient(service_url, tenant.id, token)
    with pytest.raises(RuntimeError, match="with"):
        client.documents()
    with client:
        client.documents()
    with pytest.raises(RuntimeError, match="with"):
        client.documents()


def test_it_has_every_method_of_the_client() -> None:
    names = {name for name in dir(Client) if not name.startswith("_")} - {"aclose"}
    assert names <= set(dir(Original))
    for name in names:
        assert getattr(Original, name).__doc__ == getattr(Client, name).__doc__
