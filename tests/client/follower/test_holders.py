"""What a follower and who stands on it owe each other: one transaction, one lock, one end."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from typing_extensions import override

from fixtures.replicas import Device, MakeDevice
from fixtures.service import TestTenant
from fixtures.uploads import upload
from syncapi.client.errors import Unreachable
from syncapi.client.folder.observe.lost_versions import LostVersions
from syncapi.client.follower.follower import Follower
from syncapi.client.follower.holder import Fetch
from syncapi.client.follower.pulled import Pulled
from syncapi.client.follower.records import LostVersion
from syncapi.client.store.lock import ReplicaLock
from syncapi.client.store.store import Store
from syncapi.protocol.documents import Document, FileInfo
from syncapi.protocol.push import CreateChange

HELD = Document(
    id=UUID(int=1),
    folder="",
    filename="a.txt",
    mime_type="text/plain",
    user_id=None,
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
    created_by=None,
    updated_at=datetime(2026, 1, 2, tzinfo=UTC),
    is_deleted=False,
    deleted_at=None,
    deleted_by=None,
    file=FileInfo(id=UUID(int=2), md5_hash="0" * 32, sha256_hash="0" * 64, file_size=1),
)
OLDER = HELD.model_copy(update={"updated_at": HELD.created_at})


class Failing(LostVersions):
    """Notes each document in the store, and fails at ``b.txt`` after that."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.noted = store.table("noted", LostVersion)

    @override
    def put(self, document: Document, before: Document | None) -> None:
        self.noted.put(str(document.id), LostVersion(version=document.updated_at))
        if document.filename == "b.txt":
            raise OSError("no room")

    @override
    def drop(self, document_id: UUID, before: Document | None, there: Document | None) -> None:
        self.noted.delete(str(document_id))
        raise OSError("no room")


class Endless(Fetch):
    """A fetch that comes to no end by itself."""

    def __init__(self) -> None:
        self.has_begun = asyncio.Event()
        self.has_ended = False

    @override
    async def __call__(self, documents: Sequence[Document], urls: dict[UUID, str]) -> None:
        self.has_begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.has_ended = True


def _follower(device: Device, *, per_page: int = 500) -> Follower:
    return Follower(device.client, device.store, LostVersions(device.store), per_page=per_page)


def _names(follower: Follower) -> list[str]:
    return sorted(document.filename for document in follower.documents())


async def test_a_page_that_cannot_be_taken_over_comes_again(
    tenant: TestTenant, make_device: MakeDevice
) -> None:
    for name in ("a.txt", "b.txt"):
        await upload(tenant.user, name.encode(), name)
    device = make_device(tenant)
    failing = Failing(device.store)
    follower = Follower(device.client, device.store, failing)
    with pytest.raises(OSError, match="no room"):
        await follower.pull(Pulled())
    assert (_names(follower), list(failing.noted.items())) == ([], [])
    follower = _follower(device)
    await follower.pull(pulled := Pulled())
    assert _names(follower) == ["a.txt", "b.txt"]
    assert {document.filename for document in pulled.added.values()} == {"a.txt", "b.txt"}


async def test_a_deletion_that_cannot_be_taken_over_comes_again(
    tenant: TestTenant, make_device: MakeDevice
) -> None:
    document = await upload(tenant.user)
    device = make_device(tenant)
    failing = Failing(device.store)
    follower = Follower(device.client, device.store, failing)
    await follower.pull(Pulled())
    await tenant.admin.delete(f"/documents/{document['id']}")
    with pytest.raises(OSError, match="no room"):
        await follower.pull(Pulled())
    assert (_names(follower), failing.noted.count()) == (["a.txt"], 1)
    follower = _follower(device)
    await follower.pull(pulled := Pulled())
    assert (_names(follower), pulled.deleted) == ([], {UUID(document["id"])})


async def test_answers_to_a_push_are_taken_over_together(
    tenant: TestTenant, make_device: MakeDevice
) -> None:
    file = UUID((await upload(tenant.user, filename="other.txt"))["file"]["id"])
    device = make_device(tenant)
    failing = Failing(device.store)
    follower = Follower(device.client, device.store, failing)
    changes = [
        CreateChange(
            op="create",
            change_id=device.make_id(),
            id=device.make_id(),
            filename=name,
            mime_type="text/plain",
            file_id=file,
        )
        for name in ("a.txt", "b.txt")
    ]
    with pytest.raises(OSError, match="no room"):
        await follower.submit(changes)
    assert (_names(follower), list(failing.noted.items())) == ([], [])
    follower = _follower(device)
    results = await follower.submit(changes)
    assert [result.problem for result in results] == [None, None]
    assert _names(follower) == ["a.txt", "b.txt"]


async def test_a_run_whose_fetching_fails_goes_on_behind_that_page(
    tenant: TestTenant, make_device: MakeDevice
) -> None:
    """The next page was asked for meanwhile, and is not taken over before the bytes are there."""
    for name in ("a.txt", "b.txt"):
        await upload(tenant.user, name.encode(), name)
    device = make_device(tenant)
    follower = _follower(device, per_page=1)

    async def fail(documents: Sequence[Document], urls: dict[UUID, str]) -> None:
        assert [document.filename for document in documents] == ["a.txt"]
        assert set(urls) == {document.id for document in documents}
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        await follower.pull(Pulled(), fail)
    assert device.line.count("GET", "/documents/sync") == 2
    assert _names(follower) == ["a.txt"]
    await follower.pull(pulled := Pulled())
    assert [document.filename for document in pulled.added.values()] == ["b.txt"]


async def test_a_run_that_fails_ends_its_fetching(
    tenant: TestTenant, make_device: MakeDevice
) -> None:
    for name in ("a.txt", "b.txt"):
        await upload(tenant.user, name.encode(), name)
    device = make_device(tenant)
    follower = _follower(device, per_page=1)
    fetch = Endless()
    device.line.loses = lambda _request: fetch.has_begun.is_set()
    with pytest.raises(Unreachable):
        await follower.pull(Pulled(), fetch)
    assert fetch.has_ended
    assert _names(follower) == ["a.txt"]


async def test_a_run_that_is_cancelled_ends_its_fetching_and_lets_go(
    tenant: TestTenant, make_device: MakeDevice
) -> None:
    await upload(tenant.user)
    device = make_device(tenant)
    follower = _follower(device)
    fetch = Endless()
    run = asyncio.create_task(follower.pull(Pulled(), fetch))
    await fetch.has_begun.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert fetch.has_ended
    with ReplicaLock(device.folder):
        assert _names(follower) == ["a.txt"]


@pytest.mark.parametrize(
    ("there", "is_noted"),
    [
        (None, True),
        (OLDER.model_copy(update={"is_deleted": True}), True),
        (OLDER.model_copy(update={"folder": "older"}), True),
        (OLDER, False),
    ],
    ids=["gone", "deleted", "elsewhere", "alike"],
)
def test_a_mirror_notes_what_the_server_has_nothing_like(
    tmp_path: Path, there: Document | None, *, is_noted: bool
) -> None:
    with Store.open(tmp_path / "store") as store:
        LostVersions(store).keep_lost(HELD, there)
        lost = store.table("lost", LostVersion)
        expected = [(str(HELD.id), LostVersion(version=HELD.updated_at))] if is_noted else []
        assert list(lost.items()) == expected
