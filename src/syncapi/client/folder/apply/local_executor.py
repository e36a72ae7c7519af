"""The half of a plan that changes the folder."""

from uuid import UUID

from syncapi.client.errors import ContentReplaced, SyncError, Unreachable
from syncapi.client.folder.apply.arrivals import Arrivals
from syncapi.client.folder.apply.download_writer import DownloadWriter
from syncapi.client.folder.apply.sync_pass import SyncPass
from syncapi.client.folder.bounded_gather import each
from syncapi.client.folder.conflict_names import is_interim
from syncapi.client.folder.disk.disk import Disk, MovedOn
from syncapi.client.folder.memory.intents import before_move, before_trash
from syncapi.client.folder.memory.memory import Memory
from syncapi.client.folder.model import Base
from syncapi.client.folder.plan.actions import (
    Action,
    Adopt,
    Download,
    Forget,
    Move,
    MoveToTrash,
    SetAside,
)


class LocalExecutor:
    """Carries out what a plan does here. A crash at any point leaves what can be planned anew."""

    def __init__(
        self,
        disk: Disk,
        memory: Memory,
        writer: DownloadWriter,
        *,
        parallel: int,
    ) -> None:
        self._disk = disk
        self._ledger = memory.ledger
        self._index = memory.index
        self._conflicts = memory.conflicts
        self._writer = writer
        self._parallel = parallel

    async def carry_out(self, current: SyncPass) -> None:
        """Do what can be done; what cannot is reported, and does not stop the others.

        Raises:
            SyncError: nothing more can be done for any file.
        """
        self._learn(current)
        self._note_intents(current)
        for action in current.plan.actions:
            if current.admits(action):
                self._attempt(current, action)
        await self._download(current)

    def _learn(self, current: SyncPass) -> None:
        """What needs no deed: the ledger learns it."""
        learnt = [a for a in current.plan.actions if isinstance(a, Adopt) and current.admits(a)]
        gone = [a for a in current.plan.actions if isinstance(a, Forget) and current.admits(a)]
        self._ledger.put(*(adopted.entry for adopted in learnt))
        self._ledger.drop(*(forgotten.id for forgotten in gone))
        known: list[Action] = [*learnt, *gone]
        for adopted in learnt:
            self._conflicts.pushed(adopted)
        for action in known:
            current.done(action, action.path)

    def _note_intents(self, current: SyncPass) -> None:
        """Note what is about to be done to each file first, of all at once."""
        firsts: dict[UUID, MoveToTrash | Move] = {}
        for action in current.plan.actions:
            if isinstance(action, MoveToTrash | Move):
                firsts.setdefault(action.id, action)
        self._ledger.put(*filter(None, (self._intent(current, a) for a in firsts.values())))

    def _intent(self, current: SyncPass, action: MoveToTrash | Move) -> Base | None:
        entry, file = self._ledger.find(action.id), current.files.get(action.path)
        if entry is None or file is None:
            return None
        if isinstance(action, MoveToTrash):
            return before_trash(entry)
        return before_move(entry, action.entry, file)

    def _attempt(self, current: SyncPass, action: Action) -> None:
        try:
            match action:
                case SetAside():
                    self._set_aside(current, action)
                case MoveToTrash():
                    self._trash(current, action)
                case Move():
                    self._move(current, action)
                case _:
                    pass  # a download, which waits for the network, or the server's half
        except MovedOn:
            current.postpone(action)
        except OSError as error:
            current.failed(action, action.path, error)

    def _set_aside(self, current: SyncPass, action: SetAside) -> None:
        identity = current.identity(action.path)
        if action.entry is not None:
            self._ledger.put(action.entry)
        self._conflicts.record(action, _winner(current, action))
        self._disk.move(action.path, identity, action.to)
        current.moved(action.path, action.to)
        current.done(action, action.to, f"from {action.path}")

    def _trash(self, current: SyncPass, action: MoveToTrash) -> None:
        self._disk.trash(action.path, current.identity(action.path))
        self._ledger.drop(action.id)
        current.files.pop(action.path)
        current.done(action, action.path)

    def _move(self, current: SyncPass, action: Move) -> None:
        if is_interim(action.path, action.id) and (intent := self._intent(current, action)):
            self._ledger.put(intent)
        self._disk.move(action.path, current.identity(action.path), action.to)
        self._ledger.put(action.entry)
        current.moved(action.path, action.to)
        current.done(action, action.to, f"from {action.path}")

    async def _download(self, current: SyncPass) -> None:
        async def fetch(action: Download) -> None:
            if not current.admits(action):
                return
            try:
                fetched = await self._writer.fetch(action, current)
            except (MovedOn, ContentReplaced):
                current.postpone(action)
            except (SyncError, OSError) as error:
                current.failed(action, action.path, error)
                outages.append(isinstance(error, Unreachable))
                if len(outages) >= _OUTAGES and all(outages[-_OUTAGES:]):
                    raise
            else:
                outages.clear()
                await arrivals.add(fetched)

        outages: list[bool] = []
        arrivals = Arrivals(self._writer, self._ledger, self._index, current)
        try:
            await each(_downloads(current), fetch, parallel=self._parallel)
        finally:
            await arrivals.settle()


_OUTAGES = 3
"""Downloads in a row that found no server: the others would not either."""


def _winner(current: SyncPass, action: SetAside) -> Download | None:
    """The server's version of a file that gives way.

    It may go elsewhere, and another document to the path that is given up.
    """
    if action.id is not None:
        return next((d for d in _downloads(current) if d.id == action.id), None)
    return next((d for d in _downloads(current) if d.path == action.path), None)


def _downloads(current: SyncPass) -> list[Download]:
    return [action for action in current.plan.actions if isinstance(action, Download)]
