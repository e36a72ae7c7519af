"""The simulation of replicas finds what breaks a promise, and blames nothing else."""

import hashlib
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from random import Random
from uuid import UUID

import pytest

from simulation.crashes import beside
from simulation.device import Befalling
from simulation.lost_history import ServerHistory, wait_until_served
from simulation.people import Contents
from simulation.replicas import person
from simulation.replicas.program import Program
from simulation.replicas.promises import Episode, Moment, broken, unrest
from simulation.replicas.user import Slow, User
from simulation.replicas.wishes import Marks
from simulation.runs import Place
from simulation.truth import Truth
from syncapi.client.api.client import Client
from syncapi.client.follower.feed import Feed
from syncapi.client.replica.conflict_handler import Settling
from syncapi.client.replica.conflicts import (
    Strategy,
    conflict_of,
    first_write_wins,
    judge,
    merge,
    mine,
)
from syncapi.client.replica.editor import Editing
from syncapi.client.replica.records import PendingChange
from syncapi.client.replica.replica import Replica
from syncapi.client.replica.results import Tally
from syncapi.client.replica.sender import Sending
from syncapi.client.transfer.contents import AnyContent
from syncapi.protocol.documents import Document, DocumentChanges
from syncapi.protocol.versions import NO_VERSION

planted = pytest.mark.parametrize("is_planted", [False, True], ids=["as it is", "planted"])


@pytest.fixture
async def client(own_place: Place) -> AsyncIterator[Client]:
    async with own_place.client() as client:
        yield client


@pytest.fixture
async def truth(own_place: Place) -> AsyncIterator[Truth]:
    truth = Truth(await own_place.connect(), own_place.tenant_id)
    yield truth
    await truth.close()


@pytest.fixture
async def program(own_place: Place, client: Client, tmp_path: Path) -> Program:
    """It holds one document, which the server has."""
    await client.upload(b"first", "a.txt")
    program = Program("program", tmp_path, own_place, Random(1))
    await program.run()
    return program


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _write(program: Program, replica: Replica, content: bytes) -> None:
    (document,) = replica.remote()
    program.wishes.ask(document.id, {"content": _sha256(content)})
    replica.update(document.id, content=content)


async def _write_there(client: Client, program: Program, content: bytes) -> None:
    other = await client.upload(content, "other")
    await client.delete_document(other.id)
    (document_id,) = program.held().documents
    await client.change_document(document_id, DocumentChanges(file_id=other.file.id))


async def _found(program: Program, truth: Truth, lost_at: datetime | None = None) -> list[str]:
    """What is wrong with a sync that comes now."""
    program.wishes.touched.clear()
    before = await Moment.now(program, truth)
    run = await program.run()
    after = await Moment.now(program, truth)
    assert run.how == "ended"
    return broken(
        Episode(program, before, after, run, set(), lost_at, lost_at, is_server_quiet=True)
    )


@planted
async def test_an_edit_is_based_on_what_was_there_before_its_content_was_copied(
    is_planted: bool, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a document that was made here, and is pushed meanwhile."""

    def base_before(
        self: Editing, document_id: UUID, content: AnyContent, _fields: dict[str, str | None]
    ) -> None:
        base = self._tables.documents.get(str(document_id))
        with self._copied(content) as kept, self._tables.store.transaction():
            self._queue(document_id, "update", base, {"content": kept})

    if is_planted:
        monkeypatch.setattr(Editing, "update", base_before)

    async def run() -> str:
        return (await program.run()).how

    with program.edited() as replica:
        made = replica.create("new.txt", b"new")
        replica.update(made.id, content=Slow(b"newest", 2, lambda: beside(run())))
    await program.run()

    assert bool(list(unrest(program.held()))) is is_planted


async def test_an_edit_while_a_run_joined_the_document_with_what_others_wrote_is_asked_about(
    program: Program, truth: Truth, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the version it is in conflict with was pushed from here."""
    (document_id,) = program.held().documents
    program.person.is_patient = True
    monkeypatch.setattr(person, "_STRATEGIES", (merge,))

    async def run() -> str:
        return (await program.run()).how

    with program.edited() as replica:
        program.wishes.ask(document_id, {"filename": "mine.txt"})
        replica.update(document_id, filename="mine.txt")
        await client.change_document(document_id, DocumentChanges(folder="theirs"))
        program.wishes.ask(document_id, {"content": _sha256(b"mine")})
        replica.update(document_id, content=Slow(b"mine", 2, lambda: beside(run())))
    (change,) = program.held().pending
    assert change.base_updated_at == NO_VERSION

    monkeypatch.setattr(person, "_STRATEGIES", (mine,))
    assert await _found(program, truth) == []
    assert [asked.document_id for asked in program.person.answered] == [document_id] * 2


@planted
async def test_an_edit_during_a_question_gives_way_to_the_answer(
    is_planted: bool,
    client: Client,
    truth: Truth,
    program: Program,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def settle_at_once(
        self: Settling, strategy: Strategy, document_id: UUID, tally: Tally
    ) -> None:
        asked = self._tables.conflicts.get(str(document_id))
        assert asked is not None
        self.settle(document_id, await judge(strategy, conflict_of(asked)), tally)

    if is_planted:
        monkeypatch.setattr(Settling, "_judge", settle_at_once)
    monkeypatch.setattr("simulation.replicas.person._STRATEGIES", (first_write_wins,))
    edits = iter([b"newest"])

    def go_on() -> None:
        assert program.running is not None
        for content in edits:
            _write(program, program.running, content)
            program.wishes.give_up({_sha256(b"mine")})

    program.person.is_patient = True
    program.person.meanwhile = go_on
    await _write_there(client, program, b"theirs")
    with program.edited() as replica:
        _write(program, replica, b"mine")

    found = await _found(program, truth)

    assert next(edits, None) is None
    assert bool(found) is is_planted, found


@planted
async def test_a_newer_version_that_the_server_has_lost_is_overwritten(
    is_planted: bool,
    own_place: Place,
    client: Client,
    truth: Truth,
    program: Program,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By an edit of the version before, which was waiting."""

    async def notice_nothing(
        _self: Sending, _sent: list[PendingChange], _answers: object
    ) -> dict[UUID, Document]:
        return {}

    if is_planted:
        monkeypatch.setattr(Sending, "_lost_meanwhile", notice_nothing)
    history = ServerHistory(own_place.plain_database_url)
    with program.edited() as replica:
        _write(program, replica, b"mine")
    await history.fork()
    await wait_until_served(client)
    await _write_there(client, program, b"newer")
    await program.run("pull")
    await history.lose()
    await wait_until_served(client)
    truth.ask(await own_place.connect())

    found = await _found(program, truth, await truth.time())

    assert bool(found) is is_planted, found


@planted
async def test_a_run_that_was_cut_short_ends_where_the_feed_ended_then(
    is_planted: bool,
    client: Client,
    truth: Truth,
    program: Program,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if is_planted:
        monkeypatch.setattr(Feed, "run", Feed._run_once)
    await client.upload(b"second", "b.txt")
    await client.upload(b"third", "c.txt")
    program.per_page = 1
    pages = iter([0, 1])
    program.api.meanwhile = lambda: program.set_faults(next(pages, 1))
    program.api.only = "refused"
    assert (await program.run()).how == "Unreachable"
    program.api.meanwhile = lambda: None
    program.set_faults(0)
    await client.upload(b"fourth", "d.txt")

    found = await _found(program, truth)

    assert bool(found) is is_planted, found


async def test_a_lost_version_that_a_crashed_resync_had_brought_may_be_given_back(
    own_place: Place, client: Client, truth: Truth, program: Program
) -> None:
    history = ServerHistory(own_place.plain_database_url)
    await history.fork()
    await wait_until_served(client)
    (document_id,) = program.held().documents
    await client.change_document(document_id, DocumentChanges(filename="newer.txt"))
    await client.upload(b"second", "of a second page.txt")
    truth.ask(await own_place.connect())
    await truth.void()
    program.per_page = 1
    for moment in range(1, 40):
        await program.run("sync", Befalling(moment, is_after=True))
        if program.held().shadow:
            break
    assert "newer.txt" in [document.filename for document in program.held().shadow]
    await history.lose()
    await wait_until_served(client)
    truth.ask(await own_place.connect())

    assert await _found(program, truth, await truth.time()) == []
    assert program.held().documents[document_id].filename == "newer.txt"


async def test_a_deletion_that_was_taken_back_during_a_run_is_none(
    program: Program, truth: Truth
) -> None:
    """Found with seed 7611."""
    user = User(program, Random(1), Contents(Random(1)), Marks(), lambda _read: None)
    (document_id,) = program.held().documents
    with program.edited() as replica:
        (document,) = replica.remote()
        program.wishes.ask(document_id, None)
        replica.delete(document_id)
    program.wishes.touched.clear()
    before = await Moment.now(program, truth)
    with program.edited() as replica:
        user._revert(replica, document, False)
    run = await program.run()
    after = await Moment.now(program, truth)
    episode = Episode(program, before, after, run, set(), None, None, is_server_quiet=True)
    assert document_id in after.live
    assert broken(episode) == []
