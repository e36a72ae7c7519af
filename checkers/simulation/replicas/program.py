"""A program that embeds a replica, in one process or several, and all that can befall it."""

import random
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Literal
from uuid import UUID

from filelock import FileLock, Timeout

from simulation.crashes import Crashed
from simulation.device import NOTHING, QUICK, Befalling
from simulation.faults import Faulty
from simulation.replicas.held import Held
from simulation.replicas.person import Person
from simulation.replicas.wishes import Wishes
from simulation.runs import Place
from soak.exchanges import Exchanges
from syncapi.client.api.client import Client
from syncapi.client.errors import ApiError, Unreachable
from syncapi.client.replica.replica import Replica
from syncapi.client.replica.results import SyncResult
from syncapi.client.store.store import Store

Kind = Literal["sync", "pull", "push"]
_FURTHEST_CLOCK: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Run:
    """A run of a replica.

    Attributes:
        how: it "ended", it "crashed", or the name of the error that it raised.
        is_documented: whether it may end so.
        result: if it ended.
    """

    kind: Kind
    how: str
    is_documented: bool = True
    result: SyncResult | None = None


class Program:
    """A store, whoever opens it, and its users.

    Attributes:
        wishes: of its users.
        person: is asked about conflicts.
        ids: of all documents and changes that were made by it.
        exchanges: its last requests, and what was answered.
        api, storage: the networks to the two; their fault rates may be changed at any time.
        per_page: documents of a page.
        running: the replica whose run is under way.
    """

    def __init__(self, name: str, folder: Path, place: Place, rng: random.Random) -> None:
        self.name = name
        self.folder = folder / name
        self._place = place
        self._rng = rng
        self.wishes = Wishes()
        self.person = Person(rng, self.wishes)
        self.ids: set[UUID] = set()
        self.exchanges = Exchanges()
        self.api = Faulty(rng, is_storage=False, exchanges=self.exchanges)
        self.storage = Faulty(rng, is_storage=True, exchanges=self.exchanges)
        self.running: Replica | None = None
        self.per_page = rng.choice((1, 2, 7, 500))
        self._time = datetime.now(UTC) + rng.uniform(-1, 1) * _FURTHEST_CLOCK
        self._offline = self._client()
        self._standing: Replica | None = None
        self._open = AsyncExitStack()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Replica]:
        """The replica in a process that begins now."""
        with Store.open(self.folder) as store:
            async with self._client() as client:
                yield self._replica(client, store)

    @contextmanager
    def edited(self) -> Iterator[Replica]:
        """The same, of a process that is offline."""
        with Store.open(self.folder) as store:
            yield self._replica(self._offline, store)

    def held(self) -> Held:
        """What is on the disk."""
        with Store.open(self.folder) as store:
            return Held.now(store)

    def check(self) -> list[str]:
        """What is wrong with the store."""
        with Store.open(self.folder) as store:
            return store.check()

    def can_copy_in(self) -> bool:
        """Whether a content could be copied in now, without waiting for another process."""
        try:
            with FileLock(self.folder / "adding.lock", timeout=0, mode=0o600):
                return True
        except Timeout:
            return False

    async def run(
        self, kind: Kind = "sync", befalling: Befalling = NOTHING, *, is_standing: bool = False
    ) -> Run:
        """Sync, pull or push, whatever comes.

        Args:
            kind: which of the three.
            befalling: what comes.
            is_standing: by a process that has had the store open since an earlier run of its own.
        """
        try:
            with befalling.befall():
                async with self._standing_by() if is_standing else self.opened() as replica:
                    self.running = replica
                    result = await {
                        "sync": replica.sync,
                        "pull": replica.pull,
                        "push": replica.push,
                    }[kind]()
        except Crashed:
            await self.end()
            return Run(kind, "crashed")
        except (Unreachable, ApiError) as error:
            return Run(kind, type(error).__name__)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a fault
            await self.end()
            return Run(kind, f"{type(error).__name__}: {error}", is_documented=False)
        finally:
            self.running = None
        return Run(kind, "ended", result=result)

    @asynccontextmanager
    async def _standing_by(self) -> AsyncIterator[Replica]:
        if self._standing is None:
            self._open = AsyncExitStack()
            self._standing = await self._open.enter_async_context(self.opened())
        yield self._standing

    async def end(self) -> None:
        """End the process that has the store open."""
        self._standing = None
        await self._open.aclose()

    def _client(self) -> Client:
        return Client(
            self._place.url,
            self._place.tenant_id,
            self._place.token,
            retry=QUICK,
            transport=self.api.for_one_client(),
            storage_transport=self.storage.for_one_client(),
        )

    def _replica(self, client: Client, store: Store) -> Replica:
        return Replica(
            client,
            store,
            strategy=self.person,
            make_id=self.new_id,
            clock=self._now,
            per_page=self.per_page,
        )

    def set_faults(self, rate: float) -> None:
        self.api.rate = self.storage.rate = rate

    def new_id(self) -> UUID:
        made = UUID(int=self._rng.getrandbits(128), version=4)
        self.ids.add(made)
        return made

    def _now(self) -> datetime:
        self._time += timedelta(seconds=1)
        return self._time
