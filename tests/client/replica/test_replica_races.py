"""Edits and runs at the same time: in one process, through two openings of a store, in two."""

import asyncio
import hashlib
import io
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, BinaryIO
from uuid import UUID

import httpx
import pytest

from fixtures.replicas import Device, MakeDevice
from fixtures.service import TestTenant
from fixtures.writing import MakeWriter
from syncapi.client.errors import SyncError
from syncapi.client.replica.conflicts import (
    KEEP_BOTH,
    ReplicaConflict,
    Resolution,
    conflict_of,
    manual,
    mine,
    theirs,
)
from syncapi.client.replica.records import PendingChange
from syncapi.client.replica.replica import Replica
from syncapi.client.store.store import Store
from syncapi.server.domain.access import Role

PATIENCE = 60


class Paused:
    """A content that is copied in only when it may be: other things happen before."""

    def __init__(self, data: bytes, at: int) -> None:
        self.size = len(data)
        self.is_reached = threading.Event()
        self.may_go_on = threading.Event()
        self._data = data
        self._at = at
        self._times_opened = 0

    def open(self) -> BinaryIO:
        self._times_opened += 1
        if self._times_opened == self._at:  # first it is hashed, and then copied
            self.is_reached.set()
            assert self.may_go_on.wait(PATIENCE)
        return io.BytesIO(self._data)


@asynccontextmanager
async def meanwhile(
    edit: Callable[[Paused], object], data: bytes = b"newest", *, at: int = 2
) -> AsyncIterator[asyncio.Task[object]]:
    """Begin an edit in a thread, do what the block does, and then let the edit end."""
    content = Paused(data, at)
    task = asyncio.create_task(asyncio.to_thread(edit, content))
    try:
        assert await asyncio.to_thread(content.is_reached.wait, PATIENCE)
        yield task
    finally:
        content.may_go_on.set()
        await asyncio.wait([task])


async def assert_in_step(*devices: Device) -> None:
    for _ in range(2):
        for device in devices:
            await device.replica.sync()
    for device in devices:
        assert (device.replica.pending(), device.replica.failures()) == ([], [])
        assert list(device.replica.remote()) == list(devices[0].replica.remote())
        assert device.names() == devices[0].names()
        assert device.store.check() == []


@pytest.fixture(params=["one store", "two openings"])
def editor(request: pytest.FixtureRequest) -> Callable[[Device], Replica]:
    """Who edits while the device runs."""

    def make(device: Device) -> Replica:
        if request.param == "one store":
            return device.replica
        store = Store.open(device.folder)
        request.addfinalizer(store.close)
        return Replica(
            device.client,
            store,
            strategy=device.strategy,
            make_id=device.make_id,
            clock=device.clock,
        )

    return make


def rewrite(replica: Replica, document: UUID, content: Paused) -> object:
    return replica.update(document, content=content)


async def test_what_was_made_is_pushed_while_it_is_edited(
    tenant: TestTenant, make_device: MakeDevice, editor: Callable[[Device], Replica]
) -> None:
    """The edit came to queue an update without a base, which no run could ever send."""
    device, other = make_device(tenant), make_device(tenant)
    document = device.replica.create("a.txt", b"first").id
    replica = editor(device)
    async with meanwhile(lambda content: replica.update(document, content=content)):
        await device.replica.sync()
    (change,) = device.replica.pending()
    (held,) = device.replica.remote()
    assert (change.op, change.base) == ("update", held)
    device.replica.create("later.txt", b"later")
    result = await device.replica.sync()
    assert (result.errors, result.conflicts) == ([], [])
    await assert_in_step(device, other)
    assert other.names() == {"a.txt": b"newest", "later.txt": b"later"}


async def test_an_edit_is_pushed_while_the_next_one_is_copied_in(
    tenant: TestTenant, make_device: MakeDevice, editor: Callable[[Device], Replica]
) -> None:
    """It is no conflict with oneself, whatever the strategy would make of that."""
    device = make_device(tenant, strategy=theirs)
    document = device.replica.create("a.txt", b"first").id
    await device.replica.sync()
    device.replica.update(document, content=b"second")
    replica = editor(device)
    async with meanwhile(lambda content: replica.update(document, content=content)):
        await device.replica.sync()
    result = await device.replica.sync()
    assert result.conflicts == []
    assert device.names() == {"a.txt": b"newest"}


async def test_an_edit_waits_for_an_answer_and_the_next_is_copied_in(
    tenant: TestTenant, make_device: MakeDevice
) -> None:
    """Three edits: one is under way, one is queued behind it while the third is copied in."""
    device, other = make_device(tenant), make_device(tenant)
    document = device.replica.create("a.txt", b"first").id
    device.line.loses = lambda request: request.url.path.endswith("/documents/sync")
    with pytest.raises(SyncError):
        await device.replica.sync()
    async with meanwhile(lambda content: device.replica.update(document, content=content)):
        device.replica.update(document, filename="b.txt")
    device.line.loses = lambda _request: False
    assert (await device.replica.sync()).conflicts == []
    await assert_in_step(device, other)
    assert other.names() == {"b.txt": b"newest"}


@pytest.mark.parametrize("kind", ["pull", "resync"])
async def test_others_change_it_while_the_edit_is_copied_in(
    tenant: TestTenant, make_device: MakeDevice, make_writer: MakeWriter, kind: str
) -> None:
    """The edit is of what was seen: theirs is a conflict, merged or asked about, never gone."""
    device, other = make_device(tenant), make_device(tenant)
    names = ("renamed", "rewritten", "gone")
    ids = {name: device.replica.create(f"{name}.txt", b"base").id for name in names}
    await device.replica.sync()
    await other.replica.sync()
    other.replica.update(ids["renamed"], filename="theirs.txt")
    other.replica.update(ids["rewritten"], content=b"theirs")
    other.replica.delete(ids["gone"])
    await other.replica.sync()
    if kind == "resync":
        await (await make_writer(tenant.id)).collect_tombstones()
    async with AsyncExitStack() as edits:
        for name, id_ in ids.items():
            edit = partial(rewrite, device.replica, id_)
            _ = await edits.enter_async_context(meanwhile(edit, f"{name} here".encode(), at=1))
        result = await device.replica.sync()
    assert result.resynced == ("no" if kind == "pull" else "tombstones_collected")

    result = await device.replica.sync()
    met = {record.id: (record.outcome, record.fields) for record in result.conflicts}
    assert met == {
        ids["renamed"]: ("merged", ()),
        ids["rewritten"]: ("open", ("content",)),
        ids["gone"]: ("mine", ("is_deleted",)),
    }
    assert device.bytes_of(ids["rewritten"]) == b"rewritten here"
    device.replica.resolve(ids["rewritten"], "both")
    await assert_in_step(device, other)
    found = other.names()
    assert found.pop("theirs.txt") == b"renamed here"
    assert found.pop("gone.txt") == b"gone here"
    assert sorted(map(str, found.values())) == ["b'rewritten here'", "b'theirs'"]


async def test_others_change_what_was_pushed_while_the_edit_is_copied_in(
    tenant: TestTenant, make_device: MakeDevice
) -> None:
    """The version that the edit is of was never held here: that is asked about."""
    device, other = make_device(tenant), make_device(tenant)
    document = device.replica.create("a.txt", b"first").id
    async with meanwhile(partial(rewrite, device.replica, document)) as _:
        await device.replica.sync()
        await other.replica.sync()
        other.replica.update(document, content=b"theirs")
        await other.replica.sync()
        await device.replica.sync()
    await device.replica.sync()
    (conflict,) = device.replica.conflicts()
    assert (conflict.base, device.names()) == (None, {"a.txt": b"newest"})
    device.replica.resolve(document, "both")
    await assert_in_step(device, other)
    assert sorted(map(str, other.names().values())) == ["b'newest'", "b'theirs'"]


async def test_it_is_deleted_here_while_the_edit_is_copied_in(
    tenant: TestTenant, make_device: MakeDevice
) -> None:
    """Whoever edits hears of it, and the bytes that were copied in vain go."""
    device = make_device(tenant)
    document = device.replica.create("a.txt", b"first").id
    async with meanwhile(partial(rewrite, device.replica, document)) as edit:
        device.replica.delete(document)
    with pytest.raises(SyncError, match="no document"):
        edit.result()
    result = await device.replica.sync()
    assert (result.pushed, device.names()) == ([], {})
    assert list(device.store.blobs.digests()) == []


async def test_what_was_made_is_pushed_before_its_deletion_gets_at_the_store(
    tenant: TestTenant, make_device: MakeDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process was writing to it until then: the deletion is of what that has left."""
    device, other = make_device(tenant), make_device(tenant)
    document = device.replica.create("a.txt", b"first").id
    is_waiting, may_go_on = threading.Event(), threading.Event()
    with Store.open(device.folder) as store:
        editor = Replica(device.client, store, make_id=device.make_id, clock=device.clock)
        begin = store.transaction

        def wait_and_begin() -> AbstractContextManager[None]:
            is_waiting.set()
            assert may_go_on.wait(PATIENCE)
            return begin()

        monkeypatch.setattr(store, "transaction", wait_and_begin)
        deletion = asyncio.create_task(asyncio.to_thread(editor.delete, document))
        try:
            assert await asyncio.to_thread(is_waiting.wait, PATIENCE)
            await device.replica.sync()
            await other.replica.sync()
        finally:
            may_go_on.set()
            await deletion
    result = await device.replica.sync()
    assert ([pushed.status for pushed in result.pushed], result.errors) == (["applied"], [])
    await assert_in_step(device, other)
    assert other.names() == {}


async def test_another_makes_the_same_id_while_it_is_copied_in(
    tenant: TestTenant, make_device: MakeDevice
) -> None:
    device, other = make_device(tenant), make_device(tenant)
    id_ = UUID(int=7, version=4)
    other.replica.create("theirs.txt", b"theirs", id=id_)
    create = partial(device.replica.create, "mine.txt", id=id_)
    async with meanwhile(lambda content: create(content=content)) as edit:
        await other.replica.sync()
        await device.replica.sync()
    with pytest.raises(SyncError, match="already"):
        edit.result()
    await assert_in_step(device, other)
    assert device.names() == {"theirs.txt": b"theirs"}


ANOTHER_PROCESS = """
import io, sys
from pathlib import Path
from uuid import UUID
from syncapi.client.api.client import Client
from syncapi.client.replica.replica import Replica
from syncapi.client.store.store import Store

class Slow:
    size = 6
    opened = 0
    def open(self):
        self.opened += 1
        if self.opened == 2:
            print("copying", flush=True)
            sys.stdin.readline()
        return io.BytesIO(b"newest")

with Store.open(Path(sys.argv[1])) as store:
    replica = Replica(Client("http://localhost", UUID(int=0), "none"), store)
    replica.update(UUID(sys.argv[2]), content=Slow())
"""


async def test_another_process_edits_what_is_pushed(
    tenant: TestTenant, make_device: MakeDevice
) -> None:
    device, other = make_device(tenant), make_device(tenant)
    document = device.replica.create("a.txt", b"first").id
    process = subprocess.Popen(  # noqa: ASYNC220 - it only starts
        [sys.executable, "-c", ANOTHER_PROCESS, str(device.folder), str(document)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            assert await asyncio.to_thread(process.stdout.readline) == "copying\n"
            await device.replica.sync()
            await asyncio.to_thread(process.communicate, "go on\n", PATIENCE)
            assert process.returncode == 0
        finally:
            process.kill()
    result = await device.replica.sync()
    assert (result.errors, result.conflicts) == ([], [])
    await assert_in_step(device, other)
    assert other.names() == {"a.txt": b"newest"}


def at_first(is_it: Callable[[httpx.Request], bool], act: Callable[[], None]) -> Any:  # noqa: ANN401 - either hook of a line
    """Act at the first request that is it."""
    acts = iter([act])

    def hook(request: httpx.Request) -> None:
        if is_it(request) and (now := next(acts, None)) is not None:
            now()

    return hook


def pushes(request: httpx.Request) -> bool:
    return request.method == "POST" and request.url.path.endswith("/documents/sync")


def uploads(request: httpx.Request) -> bool:
    return request.method == "POST" and request.url.path.endswith("/files")


def pulls(request: httpx.Request) -> bool:
    return request.method == "GET" and request.url.path.endswith("/documents/sync")


NAMES = ("update", "delete", "resolve", "revert")


def every_edit(replica: Replica, ids: dict[str, UUID]) -> None:
    replica.create("create.txt", b"made")
    replica.update(ids["update"], content=b"newest")
    replica.delete(ids["delete"])
    replica.resolve(ids["resolve"], "mine")
    replica.revert(ids["revert"])


async def with_a_conflict(device: Device, other: Device) -> dict[str, UUID]:
    """Documents that are named as what becomes of them; that of `resolve` is in conflict."""
    ids = {name: device.replica.create(f"{name}.txt", f"{name} 1".encode()).id for name in NAMES}
    await device.replica.sync()
    await other.replica.sync()
    other.replica.update(ids["resolve"], content=b"theirs")
    await other.replica.sync()
    device.replica.update(ids["resolve"], content=b"mine")
    await device.replica.sync()
    assert [record.id for record in device.replica.conflicts()] == [ids["resolve"]]
    return ids


@pytest.mark.parametrize("moment", ["upload", "push begins", "answer arrives"])
async def test_every_edit_while_a_push_is_under_way(
    tenant: TestTenant,
    make_device: MakeDevice,
    editor: Callable[[Device], Replica],
    moment: str,
) -> None:
    device, other = make_device(tenant, strategy=manual), make_device(tenant)
    ids = await with_a_conflict(device, other)
    for name in ("update", "delete", "revert"):
        device.replica.update(ids[name], content=f"{name} 2".encode())
    edit = partial(every_edit, editor(device), ids)
    if moment == "answer arrives":
        device.line.loses = at_first(pushes, edit)
    else:
        device.line.before = at_first(uploads if moment == "upload" else pushes, edit)
    result = await device.replica.sync()
    assert (result.errors, result.conflicts) == ([], [])
    await assert_in_step(device, other)
    assert other.names() == {
        "create.txt": b"made",
        "update.txt": b"newest",
        "resolve.txt": b"mine",
        # What was on its way already is not taken back.
        "revert.txt": b"revert 1" if moment == "upload" else b"revert 2",
    }


@pytest.mark.parametrize("kind", ["pull", "resync"])
async def test_every_edit_before_a_page_is_applied(
    tenant: TestTenant,
    make_device: MakeDevice,
    make_writer: MakeWriter,
    editor: Callable[[Device], Replica],
    kind: str,
) -> None:
    """Theirs are conflicts with what was edited here a moment ago, and both are kept."""
    device, other = make_device(tenant, strategy=manual), make_device(tenant)
    ids = await with_a_conflict(device, other)
    for name, id_ in ids.items():
        other.replica.update(id_, content=f"{name} theirs".encode())
    await other.replica.sync()
    if kind == "resync":
        gone = other.replica.create("gone.txt", b"gone").id
        await other.replica.sync()
        other.replica.delete(gone)
        await other.replica.sync()
        await (await make_writer(tenant.id)).collect_tombstones()
    device.replica.update(ids["revert"], content=b"revert 2")
    device.line.loses = at_first(pulls, partial(every_edit, editor(device), ids))
    result = await device.replica.pull()
    assert result.resynced == ("no" if kind == "pull" else "tombstones_collected")

    result = await device.replica.sync()
    assert result.errors == []
    assert device.names() == {
        "create.txt": b"made",
        "update.txt": b"newest",
        "resolve.txt": b"mine",
        "revert.txt": b"revert theirs",
    }
    asked = {record.id: conflict_of(record) for record in device.replica.conflicts()}
    assert set(asked) == {ids[name] for name in ("update", "delete", "resolve")}
    for name in ("update", "delete", "resolve"):
        there = asked[ids[name]].theirs
        assert there is not None
        assert there["content"] == hashlib.sha256(f"{name} theirs".encode()).hexdigest()
        device.replica.resolve(ids[name], "mine")
    names = device.names()
    await assert_in_step(device, other)
    assert other.names() == names


async def test_an_edit_after_a_change_was_given_up_on_its_way(
    tenant: TestTenant, make_device: MakeDevice
) -> None:
    """The answer to what was given up takes nothing else from the queue."""
    device, other = make_device(tenant, strategy=manual), make_device(tenant)
    document = device.replica.create("a.txt", b"first").id
    await device.replica.sync()
    device.replica.update(document, content=b"given up")

    def edit() -> None:
        device.replica.revert(document)
        device.replica.update(document, filename="b.txt")

    device.line.before = at_first(pushes, edit)
    await device.replica.sync()
    (conflict,) = device.replica.conflicts()
    assert conflict.mine.filename == "b.txt"
    device.replica.resolve(document, {"filename": "b.txt"})
    await assert_in_step(device, other)
    assert other.names() == {"b.txt": b"given up"}


@pytest.mark.parametrize("outcome", ["refused", "failed"])
async def test_what_was_given_up_on_its_way_is_no_failure(
    tenant: TestTenant, make_device: MakeDevice, outcome: str
) -> None:
    role = Role.USER if outcome == "refused" else Role.ADMIN  # plain users may not delete
    maker, device = make_device(tenant), make_device(tenant, role=role)
    document = maker.replica.create("a.txt", b"first")
    await maker.replica.sync()
    await device.replica.sync()
    if outcome == "refused":
        device.replica.delete(document.id)
        device.line.before = at_first(pushes, partial(device.replica.revert, document.id))
    else:
        changed = device.replica.update(document.id, content=b"second")
        device.store.blobs.remove(changed.file.sha256_hash)
        device.line.before = at_first(uploads, partial(device.replica.revert, document.id))
    result = await device.replica.sync()
    assert (result.errors, device.replica.failures()) == ([], [])
    assert device.replica.pending() == []


def unsendable(device: Device, document: UUID, **fields: object) -> PendingChange:
    """A queued change as nothing makes it, or only a version with a fault."""
    change = PendingChange.model_validate(
        {
            "change_id": device.make_id(),
            "id": document,
            "op": "update",
            "queued_at": device.clock(),
            **fields,
        }
    )
    device.replica._tables.outbox.put(str(document), change)
    return change


async def test_a_change_without_a_form_stops_no_other(
    tenant: TestTenant, make_device: MakeDevice
) -> None:
    """It is set aside and reported at each run, until it is given up."""
    device, other = make_device(tenant), make_device(tenant)
    document = device.replica.create("a.txt", b"first").id
    await device.replica.sync()
    unsendable(device, document, filename="b.txt")
    for attempt in (1, 2):
        device.replica.create(f"{attempt}.txt", b"made")
        result = await device.replica.sync()
        assert [r.status for r in result.pushed] == ["applied"]
        assert len(result.added) == attempt - 1
        (error,) = result.errors
        assert (error.id, error.what, error.code) == (document, "push", "invalid_request")
        assert error.attempts == attempt
        assert "base_updated_at" in error.message
        assert device.replica.failures() == [error]
        other.replica.create(f"theirs {attempt}.txt", b"theirs")
        await other.replica.sync()
    device.replica.revert(document)
    assert device.replica.failures() == []
    await assert_in_step(device, other)


def unreadable(detail: str) -> httpx.Response:
    """What a server answers to a request that it cannot read."""
    problem = {
        "type": "urn:syncapi:problem:invalid_request",
        "title": "Invalid request",
        "status": 400,
        "detail": detail,
        "success": False,
        "code": "invalid_request",
        "request_id": "1",
        "errors": [],
    }
    return httpx.Response(400, json=problem)


async def test_a_change_that_the_server_cannot_read_stops_no_other(
    tenant: TestTenant, make_device: MakeDevice
) -> None:
    """Such as a server whose rules are stricter: its 400 names one of many."""
    device = make_device(tenant)
    ids = [device.replica.create(f"{number}.txt", b"made").id for number in range(5)]

    def refuse(request: httpx.Request) -> httpx.Response | None:
        is_it = pushes(request) and b'"3.txt"' in request.content
        return unreadable("changes.3.filename: names without digits") if is_it else None

    device.line.before = refuse
    result = await device.replica.sync()
    assert {error.id for error in result.errors} == {ids[3]}
    assert {document.id for document in device.replica.remote()} == {*ids} - {ids[3]}
    device.replica.update(ids[3], filename="three.txt")
    result = await device.replica.sync()
    assert (result.errors, device.replica.failures()) == ([], [])
    assert len(list(device.replica.remote())) == 5


async def test_an_edit_behind_a_change_that_is_refused_is_not_lost(
    tenant: TestTenant, make_device: MakeDevice
) -> None:
    """It was made while the change was on its way, and is sent together with it."""
    device, other = make_device(tenant), make_device(tenant)
    document = device.replica.create("a.txt", b"first").id
    await device.replica.sync()
    device.replica.update(document, filename="b.txt")

    def refuse(request: httpx.Request) -> httpx.Response | None:
        if not pushes(request):
            return None
        device.replica.update(document, content=b"newest")
        return unreadable("changes.0.filename: not now")

    device.line.before = refuse
    result = await device.replica.sync()
    assert [error.id for error in result.errors] == [document]
    device.line.before = lambda _request: None
    await assert_in_step(device, other)
    assert other.names() == {"b.txt": b"newest"}


class Person:
    """A strategy that answers when it may, and remembers what it was asked."""

    def __init__(self, answer: Callable[[ReplicaConflict], Resolution]) -> None:
        self.asked: list[ReplicaConflict] = []
        self.is_asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self._answer = answer

    async def __call__(self, conflict: ReplicaConflict) -> Resolution:
        self.asked.append(conflict)
        self.is_asked.set()
        await self.may_answer.wait()
        return self._answer(conflict)


def content_of(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


async def edited_by_both(device: Device, other: Device, *, mine: bytes) -> UUID:
    """A document that both have edited apart; the other one's edit is on the server."""
    document = device.replica.create("a.txt", b"base").id
    await device.replica.sync()
    await other.replica.sync()
    other.replica.update(document, content=b"theirs")
    device.replica.update(document, content=mine)
    await other.replica.sync()
    return document


@pytest.mark.parametrize(
    ("answer", "times", "there"),
    [
        pytest.param(mine, 2, ["newest"], id="mine"),
        pytest.param(theirs, 2, ["theirs"], id="theirs"),
        pytest.param(lambda _: KEEP_BOTH, 1, ["newest", "theirs"], id="both"),
    ],
)
async def test_an_edit_while_a_person_is_asked(
    tenant: TestTenant,
    make_device: MakeDevice,
    answer: Callable[[ReplicaConflict], Resolution],
    times: int,
    there: list[str],
) -> None:
    """The answer was about the edit before: where the newer one could be lost, it asks again."""
    person = Person(answer)
    device, other = make_device(tenant, strategy=person), make_device(tenant)
    document = await edited_by_both(device, other, mine=b"mine")
    run = asyncio.create_task(device.replica.sync())
    await person.is_asked.wait()
    device.replica.update(document, content=b"newest")
    person.may_answer.set()
    result = await run
    assert len(person.asked) == times
    last = person.asked[-1].mine
    assert last is not None
    assert last["content"] == content_of(b"newest" if times == 2 else b"mine")
    assert len(result.conflicts) == 1
    await assert_in_step(device, other)
    assert sorted(content.decode() for content in other.names().values() if content) == there
    lost = [record.mine.content for record in device.replica.settled()]
    assert [kept.sha256 for kept in lost if kept] == (
        [content_of(b"newest")] if there == ["theirs"] else []
    )


async def test_it_is_settled_by_hand_while_a_person_is_asked(
    tenant: TestTenant, make_device: MakeDevice
) -> None:
    person = Person(theirs)
    device, other = make_device(tenant, strategy=person), make_device(tenant)
    document = await edited_by_both(device, other, mine=b"mine")
    run = asyncio.create_task(device.replica.sync())
    await person.is_asked.wait()
    device.replica.resolve(document, "mine")
    person.may_answer.set()
    await run
    await assert_in_step(device, other)
    assert other.names() == {"a.txt": b"mine"}


async def test_a_person_who_edits_at_every_question_is_asked_at_the_next_run(
    tenant: TestTenant, make_device: MakeDevice
) -> None:
    device, other = make_device(tenant), make_device(tenant)
    document = await edited_by_both(device, other, mine=b"mine 0")
    asked: list[ReplicaConflict] = []

    def strategy(conflict: ReplicaConflict) -> Resolution:
        asked.append(conflict)
        device.replica.update(document, content=f"mine {len(asked)}".encode())
        return theirs(conflict)

    device.replica.strategy = strategy
    result = await device.replica.sync()
    assert len(asked) == 8
    (conflict,) = device.replica.conflicts()
    assert (conflict.is_judged, device.names()) == (False, {"a.txt": b"mine 8"})
    assert [record.id for record in result.conflicts] == [document]
    device.replica.strategy = mine
    await assert_in_step(device, other)
    assert other.names() == {"a.txt": b"mine 8"}
