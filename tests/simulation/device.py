"""A machine with a folder that is kept in step, and everything that can befall it."""

import hashlib
import random
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from simulation.crashes import Crashed, act_at, crash_at
from simulation.faults import Faulty
from soak.exchanges import Exchanges
from syncapi.client.api.client import Client
from syncapi.client.errors import ApiError, Unreachable
from syncapi.client.folder.guards import WentBackStop
from syncapi.client.folder.ignoring import read_ignores
from syncapi.client.folder.ledger import Ledger
from syncapi.client.folder.looking import Options
from syncapi.client.folder.mirror import Mirror
from syncapi.client.folder.opening import open_mirror
from syncapi.client.folder.reports import MirrorReport
from syncapi.client.folder.states import Base
from syncapi.client.retrying import RetryPolicy
from syncapi.client.store.store import Store
from syncapi.client.transfer.sinks import PART_PREFIX

QUICK = RetryPolicy(attempts=3, first_wait=0.001, longest_wait=0.01)


class Device:
    """One folder of one tenant.

    Attributes:
        hidden: documents whose files were ignored at the last sync, if that has come through: the
            next one must not delete them, whatever it finds.
        has_come_through: whether the last sync did, and had nothing left to do.
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
        self.root.mkdir(parents=True)
        self.exchanges = Exchanges()
        self.api = Faulty(rng, is_storage=False, exchanges=self.exchanges)
        self.storage = Faulty(rng, is_storage=True, exchanges=self.exchanges)
        self._where = url, tenant_id, token
        self._rng = rng
        self.parallel = 1
        self.hidden: set[UUID] = set()
        self.has_come_through = False
        self._time = datetime(2026, 11, 26, tzinfo=UTC)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Mirror]:
        """The mirror of a process that begins now."""
        client = Client(
            *self._where,
            retry=QUICK,
            transport=self.api.for_one_client(),
            storage_transport=self.storage.for_one_client(),
        )
        options = Options(self.name, parallel=self.parallel, new_id=self.new_id, now=self.now)
        async with client, open_mirror(self.root, self.state, client, options) as mirror:
            yield mirror

    async def sync(
        self,
        *,
        crash_moment: int = 0,
        is_after: bool = False,
        act_moments: Collection[int] = (),
        act: Callable[[], None] = lambda: None,
    ) -> str:
        """Sync once, whatever comes; say how it ended.

        Args:
            crash_moment, is_after: see `crash_at`.
            act_moments, act: what somebody does before some changes of the disk, see `act_at`.
        """
        self._begin()
        try:
            with crash_at(crash_moment, is_after=is_after), act_at(act_moments, act):
                async with self.opened() as mirror:
                    report = await mirror.sync(allow_mass_delete=True)
                    self._end(mirror, report)
        except Crashed as crash:
            return f"{self.name}: crashed at {crash}"
        except (Unreachable, ApiError, WentBackStop) as error:
            return f"{self.name}: {type(error).__name__}"
        return f"{self.name}: {report.counts}, {len(report.failures)} failures"

    async def sync_calmly(self) -> MirrorReport:
        """Sync with a network that works."""
        self.set_faults(0)
        self._begin()
        async with self.opened() as mirror:
            try:
                report = await mirror.sync(allow_mass_delete=True)
            except WentBackStop:
                report = await mirror.sync(allow_mass_delete=True, went_back="theirs")
            self._end(mirror, report)
            return report

    def _begin(self) -> None:
        self.hidden, self.has_come_through = set(), False

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

    def new_id(self) -> UUID:
        return UUID(int=self._rng.getrandbits(128), version=4)

    def now(self) -> datetime:
        self._time += timedelta(seconds=1)
        return self._time

    def tree(self) -> dict[str, str]:
        """SHA-256 by path, of all files in the folder."""
        return _hashes(self.root)

    def kept(self) -> set[str]:
        """SHA-256 of every file in the folder and in the trash."""
        return set(self.tree().values()) | set(_hashes(self.state / "trash").values())

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
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(PART_PREFIX)
    }
