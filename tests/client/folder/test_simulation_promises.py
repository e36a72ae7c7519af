"""The simulation finds what breaks a promise, and blames nothing else."""

from collections.abc import AsyncIterator, Set
from dataclasses import replace
from pathlib import Path
from random import Random
from uuid import UUID

import pytest

from simulation.device import Befalling, Device
from simulation.lost_history import ServerHistory, wait_until_served
from simulation.moments import Moment
from simulation.promises import Meanwhile, Sync, broken, not_given_back, owed
from simulation.rest import differences
from simulation.runs import Place
from simulation.truth import Truth
from syncapi.client.api.client import Client
from syncapi.client.folder.apply.local_executor import LocalExecutor
from syncapi.client.folder.apply.sync_pass import SyncPass
from syncapi.client.folder.disk.disk import Disk, Identity
from syncapi.client.folder.ignore_rules import IGNORE_FILE, read_ignores
from syncapi.client.folder.memory.ledger import Ledger
from syncapi.client.folder.memory.out_of_sight import OutOfSight
from syncapi.client.folder.observe.observer import Observer
from syncapi.client.folder.plan import deciding
from syncapi.client.folder.plan.actions import SetAside
from syncapi.client.folder.plan.documents import Doc, Fate
from syncapi.client.folder.rules import Rules
from syncapi.client.store.store import Store
from syncapi.protocol.documents import DocumentChanges

planted = pytest.mark.parametrize("is_planted", [False, True], ids=["as it is", "planted"])


@pytest.fixture
async def client(own_place: Place) -> AsyncIterator[Client]:
    async with Client(own_place.url, own_place.tenant_id, own_place.token) as client:
        yield client


@pytest.fixture
async def truth(own_place: Place) -> AsyncIterator[Truth]:
    truth = Truth(await own_place.connect(), own_place.tenant_id)
    yield truth
    await truth.close()


@pytest.fixture
def device(own_place: Place, tmp_path: Path) -> Device:
    where = own_place.url, own_place.tenant_id, own_place.token
    return Device("device", tmp_path, *where, Random(1))


@planted
async def test_a_loss_of_history_that_is_taken_for_a_deletion(
    is_planted: bool,
    own_place: Place,
    client: Client,
    truth: Truth,
    device: Device,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    history = ServerHistory(own_place.plain_database_url)
    await history.fork()
    await wait_until_served(client)
    truth.ask(await own_place.connect())
    forked_at = await truth.time()
    (device.root / "new").write_text("new")
    await device.sync_calmly()
    await device.sync_calmly()
    await history.lose()
    await wait_until_served(client)
    truth.ask(await own_place.connect())
    if is_planted:

        async def mark_nothing(self: Observer) -> None:
            del self

        monkeypatch.setattr(Observer, "_mark_lost", mark_nothing)
    before = await Moment.now(device, truth)
    due = owed(before, forked_at)
    assert [entry.path for entry in due] == ["new"]

    await device.sync_calmly()

    after = await Moment.now(device, truth)
    sync = _sync(device, before, after, Meanwhile(), knows_history=False)
    assert bool(not_given_back(due, after)) is is_planted
    assert bool(broken(sync, truth, set())) is is_planted


async def test_a_deletion_that_was_pulled_before_the_loss(
    own_place: Place, client: Client, truth: Truth, device: Device
) -> None:
    """The sync that pulled it stopped, since too many other files were missing."""
    history = ServerHistory(own_place.plain_database_url)
    await history.fork()
    await wait_until_served(client)
    truth.ask(await own_place.connect())
    forked_at = await truth.time()
    for number in range(40):
        (device.root / f"{number}").write_text(f"{number}")
    await device.sync_calmly()
    await device.sync_calmly()
    (document,) = [document for document in await truth.live() if document.path == "0"]
    await client.delete_document(document.id)
    for number in range(1, 40):
        (device.root / f"{number}").unlink()
    assert "SafetyStop" in await device.sync(allow_mass_delete=False)
    assert device.tree().keys() == {"0"}
    await history.lose()
    await wait_until_served(client)
    truth.ask(await own_place.connect())
    before = await Moment.now(device, truth)

    due = owed(before, forked_at)
    await device.sync_calmly()

    assert due == []
    assert (device.tree(), await truth.live()) == ({}, [])


async def test_a_file_that_somebody_wrote_in_the_place_of_one_that_was_taken_away(
    truth: Truth, device: Device
) -> None:
    """A sync was killed while it trashed; the new file was deleted before the next one."""
    (device.root / "report").write_text("report")
    await device.sync_calmly()
    with Store.open(device.state) as store:
        ledger = Ledger(store)
        (entry,) = ledger.entries()
        ledger.put(replace(entry, sha256="", inode=0, birth_ns=None))
    (device.root / "report").unlink()

    found = await _found(device, truth)

    assert (device.root / "report").read_text() == "report"
    assert found == []


@planted
async def test_a_deletion_that_keeps_no_copy(
    is_planted: bool,
    client: Client,
    truth: Truth,
    device: Device,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Found where the document was erased on the server, its history too."""
    if is_planted:

        def trash(self: Disk, path: str, _identity: Identity) -> None:
            self.place(path).unlink()

        monkeypatch.setattr(Disk, "trash", trash)
    (device.root / "erased").write_text("the only copy")
    await device.sync_calmly()
    (document,) = await truth.live()
    await truth.versions()  # what is erased, it must have seen before
    await client.delete_document(document.id, hard=True)

    found = await _found(device, truth, {document.id})

    assert device.tree() == {}
    assert bool(found) is is_planted, found


@planted
async def test_a_conflict_that_is_not_set_aside(
    is_planted: bool,
    client: Client,
    truth: Truth,
    device: Device,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if is_planted:

        def trash(self: LocalExecutor, current: SyncPass, action: SetAside) -> None:
            self._disk.trash(action.path, current.identity(action.path))
            current.files.pop(action.path)

        monkeypatch.setattr(LocalExecutor, "_set_aside", trash)
    (device.root / "report").write_text("first")
    await device.sync_calmly()
    (document,) = await truth.live()
    other = await client.upload(b"theirs", "theirs")
    await client.change_document(document.id, DocumentChanges(file_id=other.file.id))
    (device.root / "report").write_text("mine")

    found = await _found(device, truth)

    assert (device.root / "report").read_text() == "theirs"
    assert bool(found) is is_planted, found


@planted
async def test_a_deletion_of_what_was_ignored(
    is_planted: bool, truth: Truth, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Patterns are taken out after files that they named were deleted to free space."""
    if is_planted:
        monkeypatch.setattr(OutOfSight, "mark", lambda _self, _ignores: None)
    (device.root / "archive").mkdir()
    (device.root / "archive" / "old").write_text("old")
    await device.sync_calmly()
    (device.root / IGNORE_FILE).write_text("archive/\n")
    await device.sync_calmly()
    (device.root / "archive" / "old").unlink()
    await device.sync_calmly()
    (device.root / IGNORE_FILE).write_text("")

    found = await _found(device, truth)

    assert bool(found) is is_planted, found


@planted
async def test_a_document_that_is_held_by_its_old_place(
    is_planted: bool,
    client: Client,
    truth: Truth,
    device: Device,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It moves from a visible place to an ignored one, and another one back."""
    if is_planted:

        def hold(doc: Doc, _rules: Rules) -> bool:
            doc.fate = Fate.HOLD
            return True

        def let_stay(doc: Doc) -> None:
            doc.fate = Fate.HOLD

        monkeypatch.setattr(deciding, "_stays_away", hold)
        monkeypatch.setattr(deciding, "_let_go", let_stay)
    (device.root / "archive").mkdir()
    (device.root / "archive" / "old").write_text("old")
    (device.root / "new").write_text("new")
    await device.sync_calmly()
    (device.root / IGNORE_FILE).write_text("archive/\n")
    await device.sync_calmly()
    places = {document.path: document.id for document in await truth.live()}
    await client.change_document(places["archive/old"], DocumentChanges(folder=""))
    await client.change_document(places["new"], DocumentChanges(folder="archive"))

    await device.sync_calmly()

    found = await differences(device, await truth.live())
    assert bool(found) is is_planted, found


async def _found(device: Device, truth: Truth, erased: Set[UUID] = frozenset()) -> list[str]:
    """What is wrong with a sync that comes now."""
    before, hidden = await Moment.now(device, truth), device.hidden
    await device.sync_calmly()
    sync = _sync(device, before, await Moment.now(device, truth), Meanwhile(), hidden=hidden)
    return broken(sync, truth, set(erased))


@planted
async def test_an_edit_during_a_sync_that_is_put_into_the_trash(
    is_planted: bool,
    client: Client,
    truth: Truth,
    device: Device,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At each change of the disk by a sync that fetches a new version of what is edited."""
    if is_planted:

        def expect(self: Disk, path: str, _identity: Identity | None) -> Path:
            return self.place(path)

        def take_away(self: Disk, place: Path, path: str, _identity: Identity) -> None:
            self._trash.take(place, path)

        monkeypatch.setattr(Disk, "expect", expect)
        monkeypatch.setattr(Disk, "_take_away", take_away)
    moments = range(1, 11)
    for moment in moments:
        (device.root / f"file {moment}").write_text(f"first {moment}")
    await device.sync_calmly()
    found = [
        fault for moment in moments for fault in await _edit_at(moment, client, truth, device)
    ]
    assert bool(found) is is_planted, found


async def _edit_at(moment: int, client: Client, truth: Truth, device: Device) -> list[str]:
    place = device.root / f"file {moment}"
    (entry,) = [entry for entry in device.entries() if entry.path == place.name]
    other = await client.upload(f"theirs {moment}".encode(), f"theirs {moment}")
    await client.change_document(entry.id, DocumentChanges(file_id=other.file.id))
    meanwhile = Meanwhile()

    def act() -> None:
        tree = device.tree()
        place.write_text(f"mine, written during the sync {moment}")
        meanwhile.note(tree, device.tree(), read_ignores(device.root).covers)

    before = await Moment.now(device, truth)
    await device.sync(Befalling(act_moments=[moment], act=act))
    after = await Moment.now(device, truth)
    return broken(_sync(device, before, after, meanwhile), truth, set())


@pytest.mark.parametrize("was_edited", [True, False], ids=["pushed", "fetched"])
async def test_who_deletes_what_is_ignored_no_more_is_not_blamed(
    was_edited: bool, truth: Truth, device: Device
) -> None:
    """At each change of the disk by a sync that first pushes or fetches it."""
    moments = range(1, 16)
    for moment in moments:
        (device.root / f"file {moment}").write_text(f"first {moment}")
    (device.root / "other").write_text("other")
    await device.sync_calmly()
    found = [await _delete_at(m, truth, device, was_edited=was_edited) for m in moments]
    assert [faults for _, faults in found if faults] == []
    assert "deleted" in [how for how, _ in found]


async def _delete_at(
    moment: int, truth: Truth, device: Device, *, was_edited: bool
) -> tuple[str, list[str]]:
    place, rules = device.root / f"file {moment}", device.root / IGNORE_FILE
    rules.write_text(f"{place.name}\n")
    await device.sync_calmly()
    if was_edited:
        place.write_text(f"edited while it was ignored {moment}")
    else:
        place.unlink()
    rules.unlink()
    meanwhile = Meanwhile()

    def act() -> None:
        tree = device.tree()
        place.unlink(missing_ok=True)
        (device.root / "other").write_text(f"has the sync look again {moment}")
        meanwhile.note(tree, device.tree(), read_ignores(device.root).covers)

    before, hidden = await Moment.now(device, truth), device.hidden
    await device.sync(Befalling(act_moments=[moment], act=act))
    after = await Moment.now(device, truth)
    is_gone = hidden & (before.live.keys() - after.live.keys())
    faults = broken(_sync(device, before, after, meanwhile, hidden=hidden), truth, set())
    return "deleted" if is_gone else "", faults


def _sync(
    device: Device,
    before: Moment,
    after: Moment,
    meanwhile: Meanwhile,
    *,
    hidden: Set[UUID] = frozenset(),
    knows_history: bool = True,
) -> Sync:
    return Sync(
        device,
        before,
        after,
        set(hidden),
        meanwhile,
        is_complete=device.has_come_through,
        has_crashed=False,
        knows_history=knows_history,
    )
