"""A folder that is kept in step with a tenant's documents."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Final, Literal

from syncapi.client import durable
from syncapi.client.api.client import Client
from syncapi.client.errors import SyncError
from syncapi.client.folder.apply.broken_off import BrokenOff
from syncapi.client.folder.apply.plan_executor import PlanExecutor
from syncapi.client.folder.apply.resolver import Resolver
from syncapi.client.folder.backups import Backups
from syncapi.client.folder.checking import check_files
from syncapi.client.folder.disk.disk import Disk
from syncapi.client.folder.disk.exchanges import FileNumber
from syncapi.client.folder.disk.trash import Trash
from syncapi.client.folder.guards import RecentDeletions
from syncapi.client.folder.ignore_rules import is_own_part, is_part_file
from syncapi.client.folder.memory.intents import Resolved
from syncapi.client.folder.memory.memory import Memory
from syncapi.client.folder.model import Base
from syncapi.client.folder.names import join
from syncapi.client.folder.observe.histories import Histories
from syncapi.client.folder.observe.lost_versions import LostVersions
from syncapi.client.folder.observe.observer import Keep, MirrorOptions, Observer, View
from syncapi.client.folder.plan.checks import attempts
from syncapi.client.folder.plan.planner import Direction
from syncapi.client.folder.reports import (
    Checked,
    CheckReport,
    Failure,
    FolderConflict,
    MirrorReport,
    Progress,
    Silent,
)
from syncapi.client.follower.follower import Follower
from syncapi.client.store.store import Store
from syncapi.protocol.documents import Document

MOST_ROUNDS: Final = 5
"""What changes faster than it can be synced is left to the next sync; the report says so."""


class Mirror:
    """Keeps a folder in step.

    Each round pulls what is new on the server, scans the folder, plans from these and the ledger,
    and carries the plan out. Whatever comes between is seen by the next round, so that a crash at
    any point needs no repair.

    Args:
        root: the folder.
        store: the mirror's own.
        trash: where files go that are taken out of the folder.
    """

    def __init__(
        self,
        root: Path,
        client: Client,
        store: Store,
        trash: Trash,
        options: MirrorOptions,
        progress: Progress | None = None,
    ) -> None:
        self.root = root
        self.trash = trash
        self._client = client
        self._follower = follower = Follower(client, store, LostVersions(store))
        self._options = options
        self._progress = progress or Silent()
        self._store = store
        memory = Memory(store, options.now)
        self._ledger = memory.ledger
        self._conflicts = memory.conflicts
        self._disk = Disk(root, trash)
        self._broken_off = BrokenOff(self._disk, self._conflicts)
        self._resolver = Resolver(self._disk, trash, self._conflicts, self._broken_off)
        histories = Histories(client, parallel=options.parallel)
        self._observer = Observer(self._disk, follower, memory, histories, options)
        self._backups = Backups(histories, self._conflicts)
        self._deletions = RecentDeletions(store, options.now)
        self._executor = PlanExecutor(
            self._disk, client, follower, memory, options, self._progress
        )
        self._etag: str | None = None

    def exclusively(self) -> AbstractContextManager[None]:
        """Keep other syncs of the folder out over several steps. Raises `StoreBusy`."""
        return self._follower.exclusively()

    def documents(self) -> Iterator[Document]:
        """The live documents, as the server last said."""
        return self._follower.documents()

    async def sync(
        self,
        *,
        direction: Direction = "both",
        dry_run: bool = False,
        allow_mass_delete: bool = False,
        restore_missing: bool = False,
        went_back: Keep | None = None,
    ) -> MirrorReport:
        """Bring folder and server in step, as far as the direction allows.

        Args:
            direction: ``pull`` pushes nothing, ``push`` changes nothing here.
            dry_run: do nothing; `MirrorReport.pending` says what would be done.
            allow_mass_delete: do not stop where many files would be deleted (see `Guards`).
            restore_missing: fetch files again that are gone from the folder, where they would be
                deleted on the server.

            went_back: what becomes of files that have the bytes of an older version of their
                document, as after a backup was put back: ``mine`` pushes them, ``theirs`` fetches
                the server's version again, and what is missing; None asks.

        Raises:
            SafetyStop: it would delete too much, an older copy seems to have been put over the
                folder, or the folder is not there.
            SyncError: the server cannot be reached or refuses; what was done is kept.
        """
        report = MirrorReport()
        tried: set[object] = set()
        self.trash.expire()
        look = partial(
            self._observer.look,
            direction=direction,
            restore_missing=restore_missing,
            went_back=went_back,
            stops_if_empty=not (dry_run or allow_mass_delete or direction == "pull"),
        )
        for number in range(MOST_ROUNDS + 1):
            view, failures = (
                (await look(), []) if dry_run else await self._broken_off.take_back_and_look(look)
            )
            self._report(report, view, failures)
            if dry_run or direction != "both":
                report.pending = view.plan
            if dry_run:
                return report
            self._settle(view.resolved)
            if attempts(view.plan) <= tried:
                self._keep_answer(view)
                self._clean_up(view, report)
                break
            if number == MOST_ROUNDS:
                report.left = len(view.plan.actions)
                break
            await self._guard(view, allow_mass_delete=allow_mass_delete, went_back=went_back)
            self._keep_answer(view)
            if await self._executor.carry_out(view, report):
                tried |= attempts(view.plan)
        return report

    async def look(self, *, offline: bool = False) -> View:
        """See how both sides are, and plan. Changes nothing in the folder or on the server.

        Args:
            offline: take the server to be as it was pulled last.

        Raises:
            SafetyStop: the folder is not there.
            SyncError: the server cannot be reached or refuses.
        """
        return await self._observer.look(offline=offline)

    def _settle(self, resolved: Resolved) -> None:
        """Keep what the scan shows of the deeds that a process did not live to note.

        The names of the files must last before: one that is noted and missing was deleted here.
        """
        for folder in {self.root / PurePosixPath(entry.path).parent for entry in resolved.changed}:
            with suppress(OSError):  # it is gone, and the next scan sees that
                durable.sync_folder(folder)
        self._ledger.settle(resolved.changed, resolved.dropped)

    def _keep_answer(self, view: View) -> None:
        """Keep that the server's versions are to stay: this sync may end before they have come."""
        self._conflicts.ask_again(view.given_up)
        self._ledger.put(*view.restored)

    async def _guard(self, view: View, *, allow_mass_delete: bool, went_back: Keep | None) -> None:
        """Check that the plan needs no confirmation of a person.

        Raises:
            SafetyStop: it does.
        """
        is_pushed = view.rules.direction != "pull"
        if is_pushed and went_back is None:
            self._backups.expect_none(view)
        if allow_mass_delete:
            self._deletions.forget()
        else:  # what was deleted a short while ago counts too: many small steps are a large one
            kept = [e for e in self._ledger.entries() if not view.rules.ignored(e.path)]
            self._deletions.check(
                self._options.guards,
                view.plan,
                files_here=len(view.scan.files),
                known={entry.id for entry in kept if entry.version is not None},
            )
        if went_back is None and is_pushed:
            await self._backups.expect_no_older_names(view)

    def _report(self, report: MirrorReport, view: View, failures: Iterable[Failure]) -> None:
        for failure in failures:
            if failure not in report.failures:  # by an earlier round
                report.failures.append(failure)
                self._progress.failed(failure)
        report.problems = view.plan.problems
        self._conflicts.keep_only(view.scan)
        report.conflicts = self.conflicts()

    def _clean_up(self, view: View, report: MirrorReport) -> None:
        """Leave no temporary file, but for those that the next sync goes on with."""
        if report.failures:
            return
        for skipped in view.scan.skipped:
            if is_own_part(skipped.path):
                self._disk.discard(skipped.path)

    async def check(self) -> CheckReport:
        """Read every file and hold it against the server's document.

        Raises:
            SyncError: as `look` does.
        """
        view = await self.look()
        entries = list(self._ledger.entries())
        wanted = {
            document_id: document
            for document_id, document in view.documents.items()
            if not view.rules.ignored(join(document.folder, document.filename))
        }
        files = await asyncio.to_thread(
            lambda: sorted(check_files(self._disk, view.scan, entries, wanted), key=_path)
        )
        return CheckReport(files, self._store.check())

    def entries(self) -> Iterator[Base]:
        """What folder and server agreed on last, by document."""
        return self._ledger.entries()

    def find(self, path: str) -> Base | None:
        """The document of a file; None where it is none."""
        return self._ledger.at(path)

    def conflicts(self) -> list[FolderConflict]:
        """What waits for a person to decide."""
        return self._conflicts.all()

    def conflict_of(self, path: str) -> FolderConflict | None:
        """The conflict of a file, by the path of the copy or by its own.

        Raises:
            SeveralConflicts: the file has several, and the copy is to be named.
        """
        return self._conflicts.find(path)

    def sides_of(self, conflict: FolderConflict) -> tuple[str, str]:
        """Where theirs and mine are: a decision that was broken off may have turned them round."""
        is_turned = self._broken_off.is_turned(conflict)
        theirs, mine = conflict.path, conflict.copy_path
        return (mine, theirs) if is_turned else (theirs, mine)

    def are_sides_known(self, conflict: FolderConflict) -> bool:
        """Whether something shows which is whose; if not, the copy counts as mine.

        Nothing does where both files were replaced after a decision was broken off.
        """
        return self._broken_off.is_turned(conflict) is not None

    def resolve(self, path: str, keep: Literal["mine", "theirs", "both"]) -> FolderConflict:
        """Settle a conflict in the folder; the next sync carries it to the server.

        Args:
            path: of the file, or of the copy.
            keep: ``mine`` the copy takes the name, ``theirs`` the copy goes; what goes is in the
                trash. ``both`` stay as they are. A copy that is ignored may be gone then.

        Raises:
            SyncError: there is no such conflict or there are several, or the folder is not as it
                must be; nothing was done.
            OSError: the disk is full, say; nothing was done.
        """
        with self._conflicts.deciding():
            conflict = self.conflict_of(path)
            if conflict is None:
                raise SyncError(f"{path} has no conflict.", hint="syncapi conflicts list")
            self._resolver.resolve(conflict, keep)
            with self._ledger.transaction():
                if keep == "mine":
                    mine = FileNumber.at(self._disk.place(conflict.path))
                    self._conflicts.note_place_of_mine(conflict, mine)
                self._conflicts.settle(conflict, has_mine=keep == "mine", is_decided=True)
            return conflict

    async def ignored(self) -> list[tuple[str, str]]:
        """What is left alone, and why: files here, and documents of the server."""
        view = await self.look(offline=True)
        here = [(s.path, s.why) for s in view.scan.skipped if not is_part_file(s.path)]
        return here + [(path, "on the server; ignored here") for path in view.plan.ignored]

    async def has_news(self) -> bool:
        """Ask the server, at next to no cost, whether anything was written since the last sync."""
        cursor = self._follower.cursor
        if cursor is None:
            return True
        polled = await self._client.poll(cursor, self._etag)
        self._etag = polled.etag
        page = polled.page
        return page is not None and bool(page.added or page.modified or page.deleted)


def _path(checked: Checked) -> str:
    return checked.path
