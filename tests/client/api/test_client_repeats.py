"""Requests whose answer is lost while somebody else acts: a repeat does nothing twice."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import uuid4

import pytest

from fixtures.client_faults import FaultyTransport, Seen, WatchedRetries, answer_lost, answered
from fixtures.client_service import MakeClient
from fixtures.service import TestTenant
from syncapi.client import BlockingClient, Client, NotFound, PreconditionFailed
from syncapi.protocol.documents import Document, DocumentChanges
from syncapi.protocol.push import CreateChange

Act = Callable[[Client, Document], Awaitable[object]]


class Scene:
    """A document, whoever changes it with a bad network, and another who acts in between.

    Attributes:
        transport: of the one; it loses the answer to the next request that changes something.
    """

    def __init__(self, make_client: MakeClient, tenant: TestTenant) -> None:
        self.other = make_client(tenant)
        self.transport = FaultyTransport()
        self._make_client = make_client
        self._tenant = tenant

    async def begin(self, between: Act | None, *, loses: bool = True) -> tuple[Client, Document]:
        document = await self.other.upload_document(b"base", "base.txt", "text/plain")
        acts = iter([between] if between is not None else [])

        async def meanwhile() -> None:
            if (act := next(acts, None)) is not None:
                await act(self.other, document)

        fault = answer_lost if loses else answered(503)
        self.transport.break_next(fault, which=lambda request: request.method != "GET")
        client = self._make_client(
            self._tenant, transport=self.transport, retry=WatchedRetries(meanwhile=meanwhile)
        )
        return client, document

    @property
    def writes(self) -> list[Seen]:
        return [seen for seen in self.transport.seen if seen.method != "GET"]

    async def names(self) -> list[str]:
        return [document.filename for document in (await self.other.documents()).documents]


@pytest.fixture
def scene(make_client: MakeClient, tenant: TestTenant) -> Scene:
    return Scene(make_client, tenant)


def rename(name: str) -> Act:
    return lambda client, document: client.change_document(
        document.id, DocumentChanges(filename=name)
    )


def move(folder: str) -> Act:
    return lambda client, document: client.change_document(
        document.id, DocumentChanges(folder=folder)
    )


def restore(client: Client, document: Document) -> Awaitable[object]:
    return client.restore(document.id)


def delete(client: Client, document: Document) -> Awaitable[object]:
    return client.delete_document(document.id)


async def make_again(client: Client, document: Document) -> None:
    """A document of the same id, after it was erased."""
    change = CreateChange(
        op="create",
        change_id=uuid4(),
        id=document.id,
        filename="again.txt",
        mime_type="text/plain",
        file_id=(await client.upload(b"again", "other.txt")).file.id,
    )
    outcome = await client.push([change], on_conflict="merge")
    assert [result.status for result in outcome.results] == ["applied"]


NAMED = [pytest.param(True, id="version named"), pytest.param(False, id="no version named")]


@pytest.mark.parametrize("is_named", NAMED)
async def test_a_newer_name_is_not_overwritten_by_a_repeat(
    scene: Scene, *, is_named: bool
) -> None:
    client, document = await scene.begin(rename("theirs.txt"))
    changed = await client.change_document(
        document.id,
        DocumentChanges(filename="mine.txt"),
        if_match=document.updated_at if is_named else None,
    )
    assert await scene.names() == ["theirs.txt"]
    versions = [v async for v in client.versions(document.id)]
    assert [v.filename for v in versions] == ["theirs.txt", "mine.txt", "base.txt"]
    assert (changed.filename, changed.updated_at) == ("mine.txt", versions[1].updated_at)
    assert changed.file == document.file
    assert [seen.status for seen in scene.writes] == [200, 412]
    assert len({seen.headers["If-Match"] for seen in scene.writes}) == 1


async def test_a_change_that_did_not_arrive_and_others_were_quicker(scene: Scene) -> None:
    """Whoever named a version hears of it; whoever named none wants it all the same."""
    client, document = await scene.begin(move("theirs"), loses=False)
    with pytest.raises(PreconditionFailed):
        await client.change_document(
            document.id, DocumentChanges(filename="a.txt"), if_match=document.updated_at
        )
    assert await scene.names() == ["base.txt"]

    client, document = await scene.begin(move("theirs"), loses=False)
    changed = await client.change_document(document.id, DocumentChanges(filename="a.txt"))
    assert (changed.filename, changed.folder) == ("a.txt", "theirs")
    assert changed == await client.document(document.id)
    assert sorted(await scene.names()) == ["a.txt", "base.txt"]


async def test_a_change_that_changes_nothing(scene: Scene) -> None:
    client, document = await scene.begin(rename("theirs.txt"))
    same = await client.change_document(
        document.id, DocumentChanges(filename="base.txt"), if_match=document.updated_at
    )
    assert same == document
    assert await scene.names() == ["theirs.txt"]


async def test_a_change_of_what_is_deleted_in_between(scene: Scene) -> None:
    client, document = await scene.begin(delete)
    with pytest.raises(NotFound):
        await client.change_document(document.id, DocumentChanges(filename="mine.txt"))
    assert await scene.names() == []


@pytest.mark.parametrize("is_named", NAMED)
async def test_what_was_restored_is_not_deleted_again(scene: Scene, *, is_named: bool) -> None:
    client, document = await scene.begin(restore)
    deleted = await client.delete_document(
        document.id, if_match=document.updated_at if is_named else None
    )
    assert (deleted.deleted_document_id, deleted.hard_delete) == (document.id, False)
    assert await scene.names() == ["base.txt"]
    assert [seen.status for seen in scene.writes] == [200, 412]


async def test_what_was_deleted_before_and_is_restored_stays(scene: Scene) -> None:
    client, document = await scene.begin(restore)
    await scene.other.delete_document(document.id)
    await client.delete_document(document.id)
    assert await scene.names() == ["base.txt"]


async def test_a_deletion_that_did_not_arrive_and_others_were_quicker(scene: Scene) -> None:
    client, document = await scene.begin(rename("theirs.txt"), loses=False)
    with pytest.raises(PreconditionFailed):
        await client.delete_document(document.id, if_match=document.updated_at)
    assert await scene.names() == ["theirs.txt"]

    client, other = await scene.begin(rename("theirs.txt"), loses=False)
    await client.delete_document(other.id)
    assert [d.id for d in (await client.documents()).documents] == [document.id]


@pytest.mark.parametrize("state", ["live", "deleted", "erased"])
async def test_what_was_made_again_is_not_erased_again(scene: Scene, state: str) -> None:
    client, document = await scene.begin(make_again)
    if state != "live":
        await scene.other.delete_document(document.id, hard=state == "erased")
    deleted = await client.delete_document(document.id, hard=True)
    assert deleted.hard_delete is True
    found = {d.id: d.filename for d in (await client.documents()).documents}
    assert found[document.id] == "again.txt"


async def test_an_erasure_that_did_not_arrive_and_others_were_quicker(scene: Scene) -> None:
    client, document = await scene.begin(rename("theirs.txt"), loses=False)
    await client.delete_document(document.id, hard=True)
    assert await scene.names() == []
    with pytest.raises(NotFound):
        await client.history(document.id)


async def test_what_there_never_was(client: Client) -> None:
    with pytest.raises(NotFound):
        await client.delete_document(uuid4())
    with pytest.raises(NotFound):
        await client.change_document(uuid4(), DocumentChanges(filename="a.txt"))


async def test_what_it_costs(scene: Scene) -> None:
    """One question for the version, where none is named."""
    client, document = await scene.begin(None)
    scene.transport.break_next()
    await client.change_document(document.id, DocumentChanges(filename="warm.txt"))
    for if_match, methods in ((None, ["GET", "PATCH"]), ("named", ["PATCH"])):
        current = await scene.other.document(document.id)
        scene.transport.seen.clear()
        await client.change_document(
            document.id,
            DocumentChanges(filename=f"{if_match}.txt"),
            if_match=current.updated_at if if_match else None,
        )
        assert [seen.method for seen in scene.transport.seen] == methods


def test_without_await(service_url: str, tenant: TestTenant) -> None:
    """`BlockingClient` does the same."""
    transport = FaultyTransport()
    token = tenant.admin.headers["Authorization"].removeprefix("Bearer ")
    with BlockingClient(service_url, tenant.id, token) as other:

        async def meanwhile() -> None:
            await asyncio.to_thread(other.restore, document.id)

        retry = WatchedRetries(meanwhile=meanwhile)
        with BlockingClient(
            service_url, tenant.id, token, transport=transport, retry=retry
        ) as client:
            document = other.upload_document(b"base", "base.txt")
            transport.break_next(answer_lost, which=lambda request: request.method == "DELETE")
            client.delete_document(document.id)
            assert [d.filename for d in other.documents().documents] == ["base.txt"]
