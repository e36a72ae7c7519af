"""How both sides are now, and what is to be done about it. Changes nothing on either."""

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Literal, TypeAlias
from uuid import UUID, uuid4

from syncapi.client.folder.disk.disk import Disk, missing, takes_cases_for_one
from syncapi.client.folder.guards import Guards
from syncapi.client.folder.ignore_rules import Ignores, read_ignores
from syncapi.client.folder.memory.intents import Resolved, resolve
from syncapi.client.folder.memory.ledger import remote_of
from syncapi.client.folder.memory.memory import Memory
from syncapi.client.folder.model import Base, Scan
from syncapi.client.folder.observe.histories import Histories
from syncapi.client.folder.observe.older_bytes import OlderBytes, OlderVersions
from syncapi.client.folder.observe.scanner import scan
from syncapi.client.folder.plan.actions import Delete, Plan
from syncapi.client.folder.plan.checks import rules_first
from syncapi.client.folder.plan.documents import with_arrived
from syncapi.client.folder.plan.planner import Direction, Rules, WentBack, plan
from syncapi.client.follower.follower import Follower
from syncapi.client.follower.pulled import Pulled
from syncapi.protocol.documents import Document

Keep: TypeAlias = Literal["mine", "theirs"]


@dataclass(frozen=True, slots=True)
class MirrorOptions:
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
        whole: the plan with all that is to be done.
        plan: the part of it that is done first. If the plan changes what is ignored, that comes
            first and alone.
        patterns: what is ignored; the scan and the plan went by them.
        resolved: the ledger as the scan shows it. It is kept before the plan is carried out.
        agreed: the ledger's entries as they would be had no answer to a push been lost.
        restored: entries that are kept before the plan is carried out, too.
        back: documents whose files have the bytes of an older version, if no person has said yet
            what is meant.
        given_up: the same, if a person has said that the server's versions are to stay.
    """

    scan: Scan
    documents: dict[UUID, Document]
    whole: Plan
    plan: Plan
    rules: Rules
    resolved: Resolved
    agreed: tuple[Base, ...]
    patterns: tuple[str, ...] = ()
    restored: tuple[Base, ...] = ()
    back: frozenset[UUID] = frozenset()
    given_up: frozenset[UUID] = frozenset()


class Observer:
    """Pulls what is new on the server, scans the folder, and plans from these and the ledger."""

    def __init__(
        self,
        disk: Disk,
        follower: Follower,
        memory: Memory,
        histories: Histories,
        options: MirrorOptions,
    ) -> None:
        self._root = disk.root
        self._disk = disk
        self._follower = follower
        self._ledger = memory.ledger
        self._index = memory.index
        self._out_of_sight = memory.out_of_sight
        self._histories = histories
        self._older = OlderVersions(histories, memory.conflicts)
        self._options = options

    async def look(
        self,
        *,
        direction: Direction = "both",
        offline: bool = False,
        restore_missing: bool = False,
        went_back: Keep | None = None,
        stops_if_empty: bool = False,
    ) -> View:
        """See how both sides are, and plan. Changes nothing in the folder or on the server.

        Args:
            direction: as of `sync`.
            offline: take the server to be as it was pulled last.
            restore_missing: as of `sync`.
            went_back: as of `sync`.
            stops_if_empty: whether nothing is done by a plan that deletes anything on the server
                while the folder is empty. So it need not name all that it would delete.

        Raises:
            SafetyStop: the folder is not there.
            SyncError: the server cannot be reached or refuses.
        """
        self._disk.anchor()
        ignores = read_ignores(self._root)
        if not offline:
            await self._pull(ignores)
        documents = {document.id: document for document in self._follower.documents()}
        found = await asyncio.to_thread(self._scan, ignores)
        rules = self._rules(ignores, direction)
        entries = list(self._ledger.entries())
        if not offline:
            is_stopped = stops_if_empty and not (found.files or found.skipped)
            entries = await self._learn_from_history(
                entries, documents, found, is_stopped=is_stopped
            )
        resolved = resolve(entries, found)
        agreed = tuple(_with_answer(entry, documents) for entry in resolved.entries)
        planned = self._plan(resolved.entries, found, documents, rules)
        back = OlderBytes()
        if not offline and went_back != "mine":
            how: WentBack = "theirs" if went_back == "theirs" else "ask"
            back = await self._older.find(
                planned,
                agreed,
                found,
                documents,
                rules,
                how,
                fetches_missing=restore_missing or how == "theirs",
            )
        if back.fates:
            planned = self._plan(resolved.entries, found, documents, rules, back.fates)
        restored = []
        if restore_missing or went_back == "theirs":
            restored = self._to_restore(planned, resolved.entries)
        if restored:
            entries = _with(resolved.entries, restored)
            planned = self._plan(entries, found, documents, rules, back.fates)
        return View(
            found,
            documents,
            planned,
            rules_first(planned),
            rules,
            resolved,
            agreed,
            ignores.lines,
            tuple(restored),
            back=back.signs,
            given_up=frozenset(back.fates if went_back == "theirs" else ()),
        )

    async def _pull(self, ignores: Ignores) -> None:
        # Before the pull: a server that cannot be reached changes nothing about the rules.
        self._out_of_sight.mark(ignores)
        await self._follower.pull(Pulled())
        await self._mark_lost()

    async def _learn_from_history(
        self,
        entries: list[Base],
        documents: dict[UUID, Document],
        found: Scan,
        *,
        is_stopped: bool,
    ) -> list[Base]:
        """The ledger with what the server's history shows of it; that is kept, too."""
        shown = await self._histories.answers(entries, documents)
        shown += await self._histories.copied(
            entries, documents, found.files, is_one_enough=is_stopped
        )
        self._ledger.put(*shown)
        return _with(entries, shown)

    def _to_restore(self, planned: Plan, entries: Iterable[Base]) -> list[Base]:
        """Entries of files that are gone, as if the mirror had taken them away: they are fetched.

        They stay so until each has come, so that the next sync does not take for deleted what an
        interrupted one has not fetched yet. Bytes that are written there meanwhile are no edit of
        the server's version, since that was not here.
        """
        gone = {action.id for action in planned.actions if isinstance(action, Delete)}
        left = {pending.id for pending in planned.pending if pending.kind == "delete"}
        return [replace(entry, leaving=True) for entry in entries if entry.id in gone | left]

    def _plan(
        self,
        entries: Iterable[Base],
        found: Scan,
        documents: dict[UUID, Document],
        rules: Rules,
        went_back: Mapping[UUID, WentBack] = MappingProxyType({}),
    ) -> Plan:
        options = self._options
        return plan(
            entries,
            found,
            map(remote_of, documents.values()),
            rules,
            new_id=options.new_id,
            device=options.device,
            now=options.now(),
            went_back=went_back,
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
        lost = self._follower.lost()
        for document_id, version in lost.items():
            entry = self._ledger.find(document_id)
            if entry is not None:
                self._ledger.put(await self._mark_if_lost(entry, version))
        self._follower.settle_lost(lost.keys())

    async def _mark_if_lost(self, entry: Base, lost: datetime) -> Base:
        """The entry, and what was about to take its place, each marked by its own version."""
        coming = entry.coming and await self._mark_if_lost(entry.coming, lost)
        is_lost = entry.version is not None and (
            entry.version == lost or await self._follower.has_lost(entry.id, entry.version)
        )
        return replace(entry, lost=entry.lost or is_lost, coming=coming)


def _with_answer(entry: Base, documents: Mapping[UUID, Document]) -> Base:
    document = documents.get(entry.id) if entry.sent else None
    return entry if document is None else with_arrived(entry, remote_of(document))


def _with(entries: Iterable[Base], others: Iterable[Base]) -> list[Base]:
    """Entries, with others in the place of those of the same documents."""
    instead = {entry.id: entry for entry in others}
    return [instead.get(entry.id, entry) for entry in entries]
