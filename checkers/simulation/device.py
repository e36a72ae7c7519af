"""A machine with a folder that is kept in step, and everything that can befall it."""

import hashlib
import random
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, RootModel

from simulation.crashes import Crashed, act_at, crash_at
from simulation.faults import Faulty
from soak.exchanges import Exchanges
from syncapi.client.api.client import Client
from syncapi.client.errors import ApiError, SafetyStop, SyncError, Unreachable
from syncapi.client.folder.disk.birth_time import birth_ns
from syncapi.client.folder.disk.trash import Trash
from syncapi.client.folder.factory import open_mirror
from syncapi.client.folder.guards import WentBackStop
from syncapi.client.folder.ignore_rules import read_ignores
from syncapi.client.folder.memory.ledger import Ledger
from syncapi.client.folder.mirror import Mirror
from syncapi.client.folder.model import Base
from syncapi.client.folder.observe.observer import Keep, MirrorOptions
from syncapi.client.folder.reports import FolderConflict, MirrorReport
from syncapi.client.folder.rules import Direction
from syncapi.client.retrying import RetryPolicy
from syncapi.client.store.store import Store
from syncapi.client.transfer.sinks import PART_PREFIX

QUICK = RetryPolicy(attempts=3, first_wait=0.001, longest_wait=0.01)

Decision = Literal["mine", "theirs", "both"]
"""What a person may say of a conflict."""


@dataclass(frozen=True, slots=True)
class Befalling:
    """What befalls a device's work at changes of the disk.

    Attributes:
        crash_moment, is_after: see `crash_at`.
        act_moments, act: what somebody does meanwhile, see `act_at`.
    """

    crash_moment: int = 0
    is_after: bool = False
    act_moments: Collection[int] = ()
    act: Callable[[], object] = lambda: None

    @contextmanager
    def befall(self) -> Iterator[None]:
        crash = crash_at(self.crash_moment, is_after=self.is_after)
        with crash, act_at(self.act_moments, self.act):
            yield


NOTHING = Befalling()


class _Asked(BaseModel):
    """What the mirror keeps of older bytes that somebody was asked about, as far as it counts."""

    version: datetime | None
    sha256s: tuple[str, ...]
    decided: tuple[str, ...]


class Device:
    """One folder of one tenant.

    Attributes:
        hidden: documents whose files were ignored at the last sync, if that has come through: the
            next one must not delete them, whatever it finds.
        has_come_through: whether the last sync did, and had nothing left to do.
        is_asked: whether the last sync stopped to ask, and did nothing.
        suspects_backup: whether it stopped since a backup seems to have been put back.
        may_have_gone_back: whether somebody has brought back older contents, in whatever way,
            since the last sync that came through undisturbed.
        answer: what the last sync was told of files that had gone back.
        exchanges: its last requests, and what was answered.
        parallel: transfers at once; with more than one a run is not the same again.
        api, storage: the networks to the two; their fault rates may be changed at any time.
    """

    def __init__(
        self, name: str, folder: Path, url: str, tenant_id: UUID, token: str, rng: random.Random
    ) -> None:
        self.name = name
        self.root = folder / name
        self.state = folder / f"{name}.state"
        self.root.mkdir(parents=True, exist_ok=True)
        self.exchanges = Exchanges()
        self.api = Faulty(rng, is_storage=False, exchanges=self.exchanges)
        self.storage = Faulty(rng, is_storage=True, exchanges=self.exchanges)
        self._where = url, tenant_id, token
        self._rng = rng
        self.parallel = 1
        self.hidden: set[UUID] = set()
        self.has_come_through = False
        self.is_asked = False
        self.suspects_backup = False
        self.may_have_gone_back = False
        self.answer: Keep | None = None
        self._standing: Mirror | None = None
        self._open = AsyncExitStack()
        self._time = datetime(2026, 11, 26, tzinfo=UTC)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Mirror]:
        """The mirror of a process that begins now."""
        async with (
            self._client() as client,
            open_mirror(self.root, self.state, client, self._options()) as mirror,
        ):
            yield mirror

    @asynccontextmanager
    async def seen(self) -> AsyncIterator[Mirror]:
        """The same, which does not keep others out: to sync, it must do so by itself."""
        with Store.open(self.state) as store:
            async with self._client() as client:
                trash = Trash(self.state / "trash")
                yield Mirror(self.root, client, store, trash, self._options())

    def _client(self) -> Client:
        return Client(
            *self._where,
            retry=QUICK,
            transport=self.api.for_one_client(),
            storage_transport=self.storage.for_one_client(),
        )

    def _options(self) -> MirrorOptions:
        return MirrorOptions(self.name, parallel=self.parallel, new_id=self.new_id, now=self.now)

    async def sync(
        self,
        befalling: Befalling = NOTHING,
        *,
        allow_mass_delete: bool = True,
        went_back: Keep | None = None,
        direction: Direction = "both",
        is_standing: bool = False,
    ) -> str:
        """Sync once, whatever comes; say how it ended.

        Args:
            befalling: what comes.
            allow_mass_delete, went_back, direction: as of `Mirror.sync`.
            is_standing: by a process that has the folder open since an earlier sync of its own.
        """
        self._begin()
        self.answer = went_back
        try:
            with befalling.befall():
                async with self._standing_by() if is_standing else self.opened() as mirror:
                    report = await mirror.sync(
                        direction=direction,
                        allow_mass_delete=allow_mass_delete,
                        went_back=went_back,
                    )
                    if direction == "both":
                        self._end(mirror, report)
        except Crashed as crash:
            await self.end()
            return f"{self.name}: crashed at {crash}"
        except SafetyStop as stop:
            await self.end()
            self.is_asked = self.root.is_dir()
            self.suspects_backup = isinstance(stop, WentBackStop)
            return f"{self.name}: {type(stop).__name__}"
        except (Unreachable, ApiError) as error:
            return f"{self.name}: {type(error).__name__}"
        return f"{self.name}: {report.counts}, {len(report.failures)} failures"

    @asynccontextmanager
    async def _standing_by(self) -> AsyncIterator[Mirror]:
        if self._standing is None:
            self._open = AsyncExitStack()
            self._standing = await self._open.enter_async_context(self.seen())
        with self._standing.exclusively():
            yield self._standing

    async def end(self) -> None:
        """End the process that has the folder open."""
        self._standing = None
        await self._open.aclose()

    async def sync_calmly(self) -> MirrorReport:
        """Sync with a network that works."""
        self.set_faults(0)
        self._begin()
        async with self.opened() as mirror:
            try:
                report = await mirror.sync(allow_mass_delete=True)
            except WentBackStop:
                self.answer, self.suspects_backup = "theirs", True
                report = await mirror.sync(allow_mass_delete=True, went_back="theirs")
            self._end(mirror, report)
            return report

    async def conflicts(self) -> list[FolderConflict]:
        """What waits for a person."""
        async with self.seen() as mirror:
            return mirror.conflicts()

    async def decide(self, copy: str, keep: Decision, befalling: Befalling) -> str:
        """Settle a conflict, whatever comes; say how it ended.

        Returns:
            "done", "crashed", or what was in the way.
        """
        try:
            with befalling.befall():
                async with self.seen() as mirror:
                    mirror.resolve(copy, keep)
        except Crashed:
            return "crashed"
        except (SyncError, OSError) as error:
            return str(error)
        return "done"

    async def to_do(self) -> list[tuple[str, str]]:
        """What a sync would do, as far as this machine knows: the actions, and with what."""
        async with self.seen() as mirror:
            plan = (await mirror.look(offline=True)).plan
        return sorted((action.name, action.path) for action in plan.actions)

    def _begin(self) -> None:
        self.hidden, self.has_come_through, self.is_asked = set(), False, False
        self.answer, self.suspects_backup = None, False

    def _end(self, mirror: Mirror, report: MirrorReport) -> None:
        self.has_come_through = not (report.failures or report.left)
        if self.has_come_through:
            covers = read_ignores(self.root).covers
            self.hidden = {entry.id for entry in mirror.entries() if covers(entry.path)}

    def entries(self) -> tuple[Base, ...]:
        """The ledger, while nothing syncs."""
        with Store.open(self.state) as store:
            return tuple(Ledger(store).entries())

    def move_to(self, url: str) -> None:
        """Speak to another service of the same tenant."""
        self._where = url, *self._where[1:]

    def speak_as(self, token: str) -> None:
        """Speak as another user, or as the same one with another role."""
        self._where = *self._where[:2], token

    def set_faults(self, rate: float) -> None:
        self.api.rate = self.storage.rate = rate

    @contextmanager
    def losing_answers(self) -> Iterator[None]:
        """Let pushes arrive, and lose their answers."""
        api = self.api
        before = api.rate, api.only, api.pushes_only
        api.rate, api.only, api.pushes_only = 1, "lost", True
        try:
            yield
        finally:
            api.rate, api.only, api.pushes_only = before

    def new_id(self) -> UUID:
        return UUID(int=self._rng.getrandbits(128), version=4)

    def now(self) -> datetime:
        self._time += timedelta(seconds=1)
        return self._time

    def tree(self) -> dict[str, str]:
        """SHA-256 by path, of all files in the folder."""
        return _hashes(self.root)

    def identities(self) -> dict[str, tuple[int, int | None]]:
        """Inodes and times of birth by path, of the same files."""
        places = {path: self.root / path for path in self.tree()}
        status = {path: place.stat() for path, place in places.items()}
        return {
            path: (status[path].st_ino, birth_ns(str(place), status[path]))
            for path, place in places.items()
        }

    def asked_about(self) -> set[tuple[UUID, datetime | None, str]]:
        """Documents, by version, and the SHA-256 that somebody was asked about in its place."""
        with Store.open(self.state) as store:
            rows = store.table("folder_conflicts_asked", _Asked).items()
            return {(UUID(key), row.version, one) for key, row in rows for one in row.sha256s}

    def decided_for(self) -> set[tuple[UUID, datetime | None, str]]:
        """Documents, by version, and the SHA-256 that somebody decided to have in its place."""
        with Store.open(self.state) as store:
            rows = store.table("folder_conflicts_asked", _Asked).items()
            return {(UUID(key), row.version, one) for key, row in rows for one in row.decided}

    def set_aside(self) -> set[UUID | None]:
        """Documents that are copies of open conflicts."""
        with Store.open(self.state) as store:
            rows = store.table("folder_conflicts", RootModel[FolderConflict])
            return {row.root.copy_id for row in rows.values()}

    def pulled(self) -> set[UUID]:
        """Documents that live as far as this device has pulled, or that its last loss took."""
        names = ("documents", "unconfirmed", "lost")
        with Store.open(self.state) as store:
            tables = [store.table(name, RootModel[object]) for name in names]
            return {UUID(key) for table in tables for key, _ in table.items()}

    def kept(self) -> set[str]:
        """SHA-256 of every file in the folder and in the trash; not of the trash's own notes."""
        trashed = {_hash(file.place) for file in Trash(self.state / "trash").files()}
        return set(self.tree().values()) | trashed

    def litter(self) -> list[str]:
        """Temporary files that were left, in the folder and beside it.

        What a crash left in a place that has been ignored since is not looked at by any sync.
        """
        covers = read_ignores(self.root).covers
        seen = [p for p in self.root.rglob("*") if not covers(p.relative_to(self.root).as_posix())]
        return sorted(
            path.name
            for path in (*seen, *self.state.rglob("*"))
            if path.name.startswith(PART_PREFIX) or path.name.endswith(".new")
        )


def _hashes(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): _hash(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(PART_PREFIX)
    }


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
