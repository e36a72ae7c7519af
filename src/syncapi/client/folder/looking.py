"""How both sides are now, and what is to be done about it. Changes nothing on either."""

import asyncio
import dataclasses
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

from syncapi.client.folder.actions import Delete, Plan
from syncapi.client.folder.disk import Disk, missing, takes_cases_for_one
from syncapi.client.folder.guards import Guards
from syncapi.client.folder.ignoring import Ignores, read_ignores
from syncapi.client.folder.ledger import FileIndex, Ledger, remote_of
from syncapi.client.folder.out_of_sight import OutOfSight
from syncapi.client.folder.plan import Direction, Rules, plan
from syncapi.client.folder.planned import rules_first
from syncapi.client.folder.scanning import scan
from syncapi.client.folder.states import Base, Scan
from syncapi.client.replica.replica import Replica
from syncapi.wire.documents import Document


@dataclass(frozen=True, slots=True)
class Options:
    """How a folder is kept in step.

    Attributes:
        device: named in the names of conflicts.
        parallel: uploads or downloads at once.
    """

    device: str
    guards: Guards = field(default_factory=Guards)
    parallel: int = 8
    new_id: Callable[[], UUID] = uuid4
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class View:
    """Both sides as they are now, and what is to be done about it.

    Attributes:
        plan: if it changes what is ignored, that alone.
        patterns: of what is ignored, by which it was scanned and planned.
        restored: entries to keep before the plan is carried out.
    """

    scan: Scan
    documents: dict[UUID, Document]
    plan: Plan
    rules: Rules
    patterns: tuple[str, ...] = ()
    restored: tuple[Base, ...] = ()


class Looking:
    """Pulls what is new on the server, scans the folder, and plans from these and the ledger."""

    def __init__(
        self,
        root: Path,
        disk: Disk,
        replica: Replica,
        ledger: Ledger,
        index: FileIndex,
        out_of_sight: OutOfSight,
        options: Options,
    ) -> None:
        self._root = root
        self._disk = disk
        self._replica = replica
        self._ledger = ledger
        self._index = index
        self._out_of_sight = out_of_sight
        self._options = options

    async def look(
        self,
        *,
        direction: Direction = "both",
        offline: bool = False,
        restore_missing: bool = False,
    ) -> View:
        """See how both sides are, and plan. Changes nothing in the folder or on the server.

        Args:
            direction: as of `sync`.
            offline: take the server to be as it was pulled last.
            restore_missing: as of `sync`.

        Raises:
            SafetyStop: the folder is not there.
            SyncError: the server cannot be reached or refuses.
        """
        self._disk.anchor()
        ignores = read_ignores(self._root)
        if not offline:
            self._out_of_sight.mark(
                ignores
            )  # a server that cannot be reached changes nothing here
            await self._replica.pull()
            await self._mark_lost()
        found = await asyncio.to_thread(self._scan, ignores)
        documents = {document.id: document for document in self._replica.remote()}
        rules = self._rules(ignores, direction)
        planned = self._plan(found, documents, rules)
        restored = self._to_restore(planned) if restore_missing else []
        if restored:
            planned = self._plan(found, documents, rules, restored)
        return View(found, documents, rules_first(planned), rules, ignores.lines, tuple(restored))

    def _to_restore(self, planned: Plan) -> list[Base]:
        """Entries of files that are gone, as if the server had lost them: they are fetched.

        They stay so until each has come. Were it otherwise, what an interrupted sync has not
        fetched yet would pass for deleted here by the next one.
        """
        deleted = (a.id for a in planned.actions if isinstance(a, Delete))
        entries = map(self._ledger.find, deleted)
        return [dataclasses.replace(entry, lost=True) for entry in entries if entry is not None]

    def _plan(
        self,
        found: Scan,
        documents: dict[UUID, Document],
        rules: Rules,
        changed: Iterable[Base] = (),
    ) -> Plan:
        """Plan by the ledger, but for some entries that are changed."""
        options, instead = self._options, {entry.id: entry for entry in changed}
        return plan(
            (instead.get(entry.id, entry) for entry in self._ledger.entries()),
            found,
            map(remote_of, documents.values()),
            rules,
            new_id=options.new_id,
            device=options.device,
            now=options.now(),
        )

    def _rules(self, ignores: Ignores, direction: Direction) -> Rules:
        return Rules(
            case_insensitive=takes_cases_for_one(self._root),
            windows_names=os.name == "nt",
            ignored=ignores.covers,
            direction=direction,
        )

    def _scan(self, ignores: Ignores) -> Scan:
        known = self._index.known()
        try:
            found = scan(self._root, known, ignores.why)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise missing(self._root) from error
        self._index.update(known, found)
        return found

    async def _mark_lost(self) -> None:
        """The server was restored: what it has lost is pushed again, not deleted here.

        The folder may have an older version than was pulled last, which the server may still have.
        """
        lost = self._replica.lost()
        for document_id, version in lost.items():
            entry = self._ledger.find(document_id)
            if entry is None or entry.version is None:
                continue
            if entry.version == version or await self._replica.has_lost(
                document_id, entry.version
            ):
                self._ledger.put(dataclasses.replace(entry, lost=True))
        self._replica.settle_lost(lost.keys())
