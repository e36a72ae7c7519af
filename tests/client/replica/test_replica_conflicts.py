"""Two devices that changed the same document: every strategy, every combination.

Whatever is settled, both replicas and the server are the same in the end, and nothing that was
written is nowhere.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from fixtures.replicas import Device, MakeDevice
from fixtures.service import TestTenant
from syncapi.client.errors import SyncError
from syncapi.client.replica.conflicts import (
    ASK,
    KEEP_BOTH,
    ReplicaConflict,
    Resolution,
    Strategy,
    Take,
    default_strategy,
    first_write_wins,
    last_write_wins,
    manual,
    merge,
    mine,
)

DAY = timedelta(days=1)

Edit = Callable[[Device, UUID], object]


def rename(name: str) -> Edit:
    return lambda device, document: device.replica.update(document, filename=name)


def retype(kind: str) -> Edit:
    return lambda device, document: device.replica.update(document, mime_type=kind)


def rewrite(content: bytes) -> Edit:
    return lambda device, document: device.replica.update(document, content=content)


def delete(device: Device, document: UUID) -> None:
    device.replica.delete(document)


class Pair:
    """Two devices in step on one document; `late` pushes after `early`."""

    def __init__(self, early: Device, late: Device) -> None:
        self.early, self.late = early, late
        self.document = UUID(int=0)

    async def begin(self) -> None:
        self.document = self.early.replica.create("name.txt", b"base").id
        await self.early.replica.sync()
        await self.late.replica.sync()

    async def race(self, there: Edit, here: Edit) -> None:
        there(self.early, self.document)
        here(self.late, self.document)
        await self.early.replica.sync()
        await self.late.replica.sync()

    async def at_rest(self) -> dict[str, bytes | None]:
        """Both in step; returns what both have."""
        await self.late.replica.sync()
        await self.early.replica.sync()
        assert list(self.early.replica.remote()) == list(self.late.replica.remote())
        assert self.early.replica.pending() == self.late.replica.pending() == []
        assert self.early.replica.failures() == self.late.replica.failures() == []
        return self.early.names()


@pytest.fixture
def make_pair(tenant: TestTenant, make_device: MakeDevice) -> Callable[[Strategy], Pair]:
    return lambda strategy: Pair(make_device(tenant), make_device(tenant, strategy=strategy))


RACES: dict[str, tuple[Edit, Edit]] = {
    "other fields": (rename("theirs.txt"), retype("text/csv")),
    "bytes beside a name": (rename("theirs.txt"), rewrite(b"mine")),
    "a name beside bytes": (rewrite(b"theirs"), rename("mine.txt")),
    "the same name": (rename("theirs.txt"), rename("mine.txt")),
    "bytes": (rewrite(b"theirs"), rewrite(b"mine")),
    "edited there, deleted here": (rewrite(b"theirs"), delete),
    "deleted there, edited here": (delete, rewrite(b"mine")),
    "alike": (rename("same.txt"), rename("same.txt")),
    "both deleted": (delete, delete),
}

State = dict[str, bytes]
"""The name and the bytes of a document; empty if there is none."""

OPEN: State = {"it stays": b"open"}
GONE: State = {}
JOINED: dict[str, State] = {
    "other fields": {"theirs.txt": b"base"},
    "bytes beside a name": {"theirs.txt": b"mine"},
    "a name beside bytes": {"mine.txt": b"theirs"},
    "alike": {"same.txt": b"base"},
    "both deleted": GONE,
}
SURVIVES: dict[str, State] = {
    "edited there, deleted here": {"name.txt": b"theirs"},
    "deleted there, edited here": {"name.txt": b"mine"},
}
EXPECTED: dict[str, tuple[Strategy, dict[str, State]]] = {
    "last_write_wins": (
        last_write_wins,
        {
            **JOINED,
            "the same name": {"mine.txt": b"base"},
            "bytes": {"name.txt": b"mine"},
            "edited there, deleted here": GONE,
            "deleted there, edited here": {"name.txt": b"mine"},
        },
    ),
    "first_write_wins": (
        first_write_wins,
        {
            **JOINED,
            "bytes beside a name": {"theirs.txt": b"base"},
            "a name beside bytes": {"name.txt": b"theirs"},
            "the same name": {"theirs.txt": b"base"},
            "bytes": {"name.txt": b"theirs"},
            "edited there, deleted here": {"name.txt": b"theirs"},
            "deleted there, edited here": GONE,
        },
    ),
    "merge": (merge, {**JOINED, **SURVIVES, "the same name": OPEN, "bytes": OPEN}),
    "manual": (
        manual,
        {**dict.fromkeys(RACES, OPEN), "alike": JOINED["alike"], "both deleted": GONE},
    ),
    # The edit was made before the server's version, by the clock of the test.
    "default_strategy": (
        default_strategy,
        {**JOINED, **SURVIVES, "the same name": {"theirs.txt": b"base"}, "bytes": OPEN},
    ),
}
MINE: dict[str, State] = {
    "other fields": {"name.txt": b"base"},
    "bytes beside a name": {"name.txt": b"mine"},
    "a name beside bytes": {"mine.txt": b"base"},
    "the same name": {"mine.txt": b"base"},
    "bytes": {"name.txt": b"mine"},
    "edited there, deleted here": GONE,
    "deleted there, edited here": {"name.txt": b"mine"},
}


def state_of(device: Device, document: UUID) -> State:
    found = device.replica.document(document)
    content = device.bytes_of(document)
    if found is None:
        return GONE
    assert content is not None
    return {found.filename: content}


@pytest.mark.parametrize("strategy", EXPECTED)
async def test_every_combination(strategy: str, make_pair: Callable[[Strategy], Pair]) -> None:
    """All races at once. What stays open keeps both sides until it is settled by hand."""
    function, outcomes = EXPECTED[strategy]
    pair = make_pair(function)
    early, late = pair.early, pair.late
    ids = {race: early.replica.create("name.txt", b"base").id for race in RACES}
    await early.replica.sync()
    await late.replica.sync()
    for race, (there, here) in RACES.items():
        there(early, ids[race])
        here(late, ids[race])
    await early.replica.sync()
    result = await late.replica.sync()

    still_open = {race for race, outcome in outcomes.items() if outcome == OPEN}
    assert {record.id for record in late.replica.conflicts()} == {ids[r] for r in still_open}
    met = {record.id: record.outcome for record in result.conflicts}
    assert set(met) == {id_ for race, id_ in ids.items() if race not in {"alike", "both deleted"}}
    assert {id_ for id_, outcome in met.items() if outcome == "open"} == {
        ids[race] for race in still_open
    }
    late.reopen()
    await late.replica.sync()
    for race in still_open:
        assert state_of(late, ids[race]) == MINE[race]
        late.replica.resolve(ids[race], "mine")
        assert state_of(late, ids[race]) == MINE[race]
    await pair.at_rest()
    for device in (early, late):
        states = {race: state_of(device, id_) for race, id_ in ids.items()}
        assert states == outcomes | {race: MINE[race] for race in still_open}


async def test_the_newer_edit_is_asked_about(make_pair: Callable[[Strategy], Pair]) -> None:
    """By the clocks the edit here came after the version there, and so must not lose unasked."""
    pair = make_pair(default_strategy)
    await pair.begin()
    pair.late.clock.now = datetime.now(UTC) + DAY
    await pair.race(*RACES["the same name"])
    (conflict,) = pair.late.replica.conflicts()
    assert conflict.fields == ("filename",)
    pair.late.replica.resolve(conflict.id, "theirs")
    assert await pair.at_rest() == {"theirs.txt": b"base"}
    (lost,) = pair.late.replica.settled()
    assert lost.mine.filename == "mine.txt"


async def test_what_did_not_win_is_kept_for_a_while(
    make_pair: Callable[[Strategy], Pair],
) -> None:
    pair = make_pair(first_write_wins)
    await pair.begin()
    await pair.race(*RACES["bytes"])
    assert await pair.at_rest() == {"name.txt": b"theirs"}
    (record,) = pair.late.replica.settled()
    content = record.mine.content
    assert content is not None
    assert pair.late.store.blobs.has(content.sha256)
    pair.late.clock.now += 31 * DAY
    rename("other.txt")(pair.late, pair.document)
    rewrite(b"new")(pair.late, pair.document)
    await pair.late.replica.sync()
    assert pair.late.replica.settled() == []
    assert not pair.late.store.blobs.has(content.sha256)


@pytest.mark.parametrize("way", ["strategy", "by hand"])
async def test_both_are_kept(way: str, make_pair: Callable[[Strategy], Pair]) -> None:
    pair = make_pair((lambda _: KEEP_BOTH) if way == "strategy" else manual)
    await pair.begin()
    await pair.race(*RACES["bytes"])
    if way == "by hand":
        pair.late.replica.resolve(pair.document, "both")
    names = await pair.at_rest()
    (other,) = set(names) - {"name.txt"}
    assert names["name.txt"] == b"theirs"
    assert names[other] == b"mine"
    assert other.startswith("name (conflict 20")
    assert other.endswith(".txt")


@pytest.mark.parametrize("race", ["edited there, deleted here", "deleted there, edited here"])
async def test_both_of_an_edit_and_a_deletion_is_the_edit(
    race: str, make_pair: Callable[[Strategy], Pair]
) -> None:
    pair = make_pair(lambda _: KEEP_BOTH)
    await pair.begin()
    await pair.race(*RACES[race])
    assert await pair.at_rest() == SURVIVES[race]


async def test_both_keep_an_edit_of_the_name_alone(make_pair: Callable[[Strategy], Pair]) -> None:
    """Its bytes are the base's, which the replica still has."""
    pair = make_pair(lambda _: KEEP_BOTH)
    await pair.begin()
    await pair.race(rewrite(b"theirs"), rename("mine.txt"))
    names = await pair.at_rest()
    assert sorted(names.values(), key=str) == [b"base", b"theirs"]


async def test_field_by_field(make_pair: Callable[[Strategy], Pair]) -> None:
    pair = make_pair(manual)
    await pair.begin()
    await pair.race(rewrite(b"theirs"), rewrite(b"mine"))
    with pytest.raises(SyncError, match="no field"):
        pair.late.replica.resolve(pair.document, {"title": "x"})
    with pytest.raises(SyncError, match="choose"):
        pair.late.replica.resolve(pair.document, {"content": "ours"})
    pair.late.replica.resolve(pair.document, {"content": "mine", "filename": "agreed.txt"})
    assert await pair.at_rest() == {"agreed.txt": b"mine"}
    with pytest.raises(SyncError, match="no open conflict"):
        pair.late.replica.resolve(pair.document, "mine")


def sync_function(conflict: ReplicaConflict) -> Resolution:
    assert conflict.mine is not None
    assert conflict.theirs is not None
    return Take({**conflict.theirs, "filename": "decided.txt"}, "merged")


async def async_function(conflict: ReplicaConflict) -> Resolution:
    return sync_function(conflict)


@pytest.mark.parametrize("function", [sync_function, async_function])
async def test_a_function_of_the_caller(
    function: Strategy, make_pair: Callable[[Strategy], Pair]
) -> None:
    pair = make_pair(function)
    await pair.begin()
    await pair.race(*RACES["bytes"])
    assert await pair.at_rest() == {"decided.txt": b"theirs"}


async def test_a_function_that_fails_stops_nothing(
    make_pair: Callable[[Strategy], Pair],
) -> None:
    def fails(_conflict: ReplicaConflict) -> Resolution:
        raise RuntimeError("what now?")

    pair = make_pair(fails)
    await pair.begin()
    pair.late.replica.create("other.txt", b"other")
    await pair.race(*RACES["bytes"])
    assert len(list(pair.late.replica.remote())) == 2
    (failure,) = pair.late.replica.failures()
    assert (failure.what, failure.message, failure.attempts) == ("resolve", "what now?", 1)
    pair.late.replica.strategy = mine
    await pair.late.replica.sync()
    assert await pair.at_rest() == {"name.txt": b"mine", "other.txt": b"other"}


async def test_a_content_of_neither_side_is_a_failure(
    make_pair: Callable[[Strategy], Pair],
) -> None:
    pair = make_pair(lambda c: Take({**(c.theirs or {}), "content": "0" * 64}, "merged"))
    await pair.begin()
    await pair.race(*RACES["bytes"])
    assert [failure.what for failure in pair.late.replica.failures()] == ["resolve"]
    assert len(pair.late.replica.conflicts()) == 1


async def test_two_that_made_the_same_id(make_pair: Callable[[Strategy], Pair]) -> None:
    pair = make_pair(default_strategy)
    chosen = UUID(int=99, version=4)
    pair.document = chosen
    pair.early.replica.create("theirs.txt", b"theirs", id=chosen)
    pair.late.replica.create("mine.txt", b"mine", id=chosen)
    await pair.early.replica.sync()
    result = await pair.late.replica.sync()
    assert [record.outcome for record in result.conflicts] == ["open"]
    pair.late.replica.resolve(chosen, "both")
    assert sorted(map(str, (await pair.at_rest()).values())) == ["b'mine'", "b'theirs'"]


async def test_edits_go_into_an_open_conflict(make_pair: Callable[[Strategy], Pair]) -> None:
    pair = make_pair(manual)
    await pair.begin()
    await pair.race(*RACES["bytes"])
    rewrite(b"mine again")(pair.late, pair.document)
    assert pair.late.names() == {"name.txt": b"mine again"}
    await pair.late.replica.sync()
    pair.late.replica.resolve(pair.document, "mine")
    rename("later.txt")(pair.late, pair.document)
    assert await pair.at_rest() == {"later.txt": b"mine again"}


async def test_the_other_side_of_an_open_conflict_moves_on(
    make_pair: Callable[[Strategy], Pair],
) -> None:
    pair = make_pair(manual)
    await pair.begin()
    await pair.race(*RACES["bytes"])
    rewrite(b"theirs again")(pair.early, pair.document)
    await pair.early.replica.sync()
    await pair.late.replica.sync()
    pair.late.replica.resolve(pair.document, "theirs")
    assert await pair.at_rest() == {"name.txt": b"theirs again"}


async def test_an_open_conflict_whose_document_is_deleted_there(
    make_pair: Callable[[Strategy], Pair],
) -> None:
    pair = make_pair(manual)
    await pair.begin()
    await pair.race(*RACES["bytes"])
    delete(pair.early, pair.document)
    await pair.early.replica.sync()
    await pair.late.replica.sync()
    assert pair.late.names() == {"name.txt": b"mine"}
    pair.late.replica.resolve(pair.document, "mine")
    assert await pair.at_rest() == {"name.txt": b"mine"}


async def test_an_open_conflict_ends_where_the_other_side_comes_round(
    make_pair: Callable[[Strategy], Pair],
) -> None:
    pair = make_pair(manual)
    await pair.begin()
    await pair.race(*RACES["bytes"])
    rewrite(b"mine")(pair.early, pair.document)
    await pair.early.replica.sync()
    await pair.late.replica.sync()
    assert pair.late.replica.conflicts() == []
    assert await pair.at_rest() == {"name.txt": b"mine"}


async def test_it_is_raced_again_while_it_is_settled(
    tenant: TestTenant, make_device: MakeDevice
) -> None:
    """Each time it decides, the other side has moved on: it decides anew, and is not lost."""
    early = make_device(tenant)
    asked = []

    async def strategy(conflict: ReplicaConflict) -> Resolution:
        asked.append(conflict)
        if len(asked) < 3:
            early.replica.update(conflict.id, content=f"theirs {len(asked)}".encode())
            await early.replica.sync()
        return mine(conflict)

    pair = Pair(early, make_device(tenant, strategy=strategy))
    await pair.begin()
    await pair.race(*RACES["bytes"])
    assert len(asked) == 3
    assert await pair.at_rest() == {"name.txt": b"mine"}


async def test_an_erased_document_that_was_edited_here(
    tenant: TestTenant, make_device: MakeDevice
) -> None:
    device = make_device(tenant)
    made = device.replica.create("a.txt", b"a")
    await device.replica.sync()
    device.replica.update(made.id, filename="b.txt")
    await tenant.admin.delete(f"/documents/{made.id}", params={"hard": "true"})
    result = await device.replica.sync()
    assert [record.outcome for record in result.conflicts] == ["mine"]
    assert device.names() == {"b.txt": b"a"}
    other = make_device(tenant)
    await other.replica.sync()
    assert other.names() == {"b.txt": b"a"}


async def test_asking_is_no_answer(make_pair: Callable[[Strategy], Pair]) -> None:
    pair = make_pair(lambda _: ASK)
    await pair.begin()
    await pair.race(*RACES["bytes"])
    (conflict,) = pair.late.replica.conflicts()
    assert conflict.fields == ("content",)
    assert (conflict.is_judged, conflict.outcome) == (True, "open")
    assert conflict.server is not None
    assert pair.late.store.blobs.has(conflict.server.file.sha256_hash)
    pair.late.replica.revert(pair.document)
    assert await pair.at_rest() == {"name.txt": b"theirs"}
