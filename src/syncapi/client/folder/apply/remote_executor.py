"""The half of a plan that changes the server."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal, Protocol, TypeAlias
from uuid import UUID

from syncapi.client.errors import SourceChanged, SyncError, Unreachable
from syncapi.client.folder.apply.sync_pass import SyncPass
from syncapi.client.folder.bounded_gather import each
from syncapi.client.folder.disk.disk import Disk, MovedOn
from syncapi.client.folder.memory.memory import Memory
from syncapi.client.folder.model import Base, Sent
from syncapi.client.folder.plan.actions import Create, Delete, Update
from syncapi.client.transfer.contents import FileContent
from syncapi.client.transfer.uploads import Uploader
from syncapi.protocol.content import Digest
from syncapi.protocol.documents import Document
from syncapi.protocol.media_types import media_type_of
from syncapi.protocol.push import (
    MOST_CHANGES,
    ChangeResult,
    CreateChange,
    DeleteChange,
    PushedChange,
    UpdateChange,
)
from syncapi.protocol.versions import NO_VERSION

Pushed: TypeAlias = Create | Update | Delete
OnConflict: TypeAlias = Literal["reject", "merge"]


class Submits(Protocol):
    """The side of a follower that pushes and remembers what was answered."""

    async def submit(
        self, changes: Sequence[PushedChange], *, on_conflict: OnConflict = "reject"
    ) -> list[ChangeResult]: ...


@dataclass(frozen=True, slots=True)
class _Ready:
    """An action whose bytes have arrived."""

    action: Pushed
    change: PushedChange


_Answered: TypeAlias = tuple[_Ready, ChangeResult]


class RemoteExecutor:
    """Carries out what a plan does there.

    Bytes first, then the ledger's note of what is about to be sent, then the push: whatever is
    lost on the way, the next plan knows its own change again when the server has it. The rules in
    force are those on the disk when something is sent: if they are not those of the plan any more,
    nothing is, and the next round plans anew.
    """

    def __init__(
        self,
        disk: Disk,
        memory: Memory,
        follower: Submits,
        uploader: Uploader,
        *,
        new_id: Callable[[], UUID],
        parallel: int,
    ) -> None:
        self._disk = disk
        self._ledger = memory.ledger
        self._conflicts = memory.conflicts
        self._follower = follower
        self._uploader = uploader
        self._new_id = new_id
        self._parallel = parallel

    async def carry_out(self, current: SyncPass) -> None:
        """Do what can be done; what cannot is reported, and does not stop the others.

        Raises:
            SyncError: the server cannot be reached, or refuses all.
        """
        for kind in (Create, Update, Delete):
            wanted = (a for a in current.plan.actions if isinstance(a, kind))
            while batch := [a for a in islice(wanted, MOST_CHANGES) if current.admits(a)]:
                ready = await self._make_ready(batch, current)
                restoring = [one for one in ready if _restores(one.action)]
                deleted = await self._restore(restoring, current)
                reviving = [one for one in ready if _revives(one.action) and one not in restoring]
                await self._push([*reviving, *deleted], "merge", current)
                plain = [one for one in ready if not _revives(one.action)]
                await self._push(plain, "reject", current)

    async def _make_ready(self, batch: Sequence[Pushed], current: SyncPass) -> list[_Ready]:
        changes: dict[UUID, PushedChange] = {}

        async def prepare(action: Pushed) -> None:
            try:
                changes[action.id] = await self._change(action, current)
            except (MovedOn, SourceChanged, FileNotFoundError):
                current.postpone(action)
            except Unreachable:
                raise
            except (SyncError, OSError) as error:
                current.failed(action, action.path, error)

        await each(batch, prepare, parallel=self._parallel)
        return [_Ready(action, changes[action.id]) for action in batch if action.id in changes]

    async def _change(self, action: Pushed, current: SyncPass) -> PushedChange:
        change_id = self._new_id()
        match action:
            case Create():
                return CreateChange(
                    op="create",
                    change_id=change_id,
                    id=action.id,
                    folder=action.folder,
                    filename=action.filename,
                    mime_type=media_type_of(action.filename),
                    file_id=await self._send(action.path, action.sha256, current),
                )
            case Update():
                file_id = None
                if action.sha256 is not None:
                    file_id = await self._send(action.path, action.sha256, current)
                return UpdateChange(
                    op="update",
                    change_id=change_id,
                    id=action.id,
                    base_updated_at=action.base_version,
                    folder=action.folder,
                    filename=action.filename,
                    file_id=file_id,
                )
            case Delete():
                if action.path not in current.files:  # else it is another document's by now
                    self._disk.expect_no_file(action.path)
                return DeleteChange(
                    op="delete",
                    change_id=change_id,
                    id=action.id,
                    base_updated_at=action.base_version,
                )

    async def _send(self, path: str, sha256: str, current: SyncPass) -> UUID:
        """Have a file's bytes at the server.

        Raises:
            MovedOn: it is not as it was seen, or the rules have changed.
            SourceChanged: it changed on the way.
        """
        if not current.rules_hold():
            raise MovedOn("what is ignored has changed")
        place = self._disk.expect(path, current.identity(path))
        file = current.files[path]
        digest = Digest(file.md5 or "", sha256, file.size)
        sent = await self._uploader.send(FileContent(place), digest, media_type_of(path))
        current.report.bytes_up += file.size
        return sent.id

    async def _push(
        self, ready: Sequence[_Ready], on_conflict: OnConflict, current: SyncPass
    ) -> None:
        self._learn(await self._submit(ready, on_conflict, current), current)

    async def _restore(self, ready: Sequence[_Ready], current: SyncPass) -> list[_Ready]:
        """Push what the server has lost; return what others have deleted there since.

        What was erased there is not lost: the next plan takes it for deleted.
        """
        answered: list[_Answered] = []
        deleted: list[_Ready] = []
        for one, result in await self._submit(ready, "reject", current):
            if result.status == "conflict" and result.document is None:
                self._ledger.put(*self._erased(one.action.id))
            if result.status == "conflict" and result.document and result.document.is_deleted:
                deleted.append(one)
            else:
                answered.append((one, result))
        self._learn(answered, current)
        return deleted

    def _erased(self, document_id: UUID) -> Iterator[Base]:
        entry = self._ledger.find(document_id)
        if entry is not None:
            yield replace(entry, lost=False, sent=None)

    async def _submit(
        self, ready: Sequence[_Ready], on_conflict: OnConflict, current: SyncPass
    ) -> list[_Answered]:
        """Note in the ledger what is about to be sent, and push it."""
        if not ready:
            return []
        if not current.rules_hold():
            for one in ready:
                current.postpone(one.action)
            return []
        self._ledger.put(*self._notes(ready))
        changes = [one.change for one in ready]
        results = await self._follower.submit(changes, on_conflict=on_conflict)
        return list(zip(ready, results, strict=True))

    def _learn(self, answered: Sequence[_Answered], current: SyncPass) -> None:
        """Keep in the ledger what is agreed on now."""
        agreed = [self._learn_answer(one.action, result, current) for one, result in answered]
        self._ledger.put(*(entry for entry in agreed if entry is not None))
        gone = [one.action.id for one, _ in answered if isinstance(one.action, Delete)]
        self._ledger.drop(*(i for i in gone if i not in current.blocked))

    def _notes(self, ready: Sequence[_Ready]) -> Iterator[Base]:
        """What the ledger holds of documents while their push is under way."""
        for one in ready:
            if isinstance(one.action, Delete):
                continue
            entry = one.action.entry
            before = self._ledger.find(one.action.id) or replace(entry, version=None)
            sent = Sent(entry.path, entry.sha256, entry.folder, entry.filename)
            yield replace(before, sent=sent)

    def _learn_answer(
        self, action: Pushed, result: ChangeResult, current: SyncPass
    ) -> Base | None:
        """What is agreed on now; None where nothing is."""
        if result.status == "rejected" and result.problem and result.problem.code != "not_found":
            current.refused(action, action.path, result.problem)
            return None
        if result.status in ("conflict", "rejected"):
            current.postpone(action)  # it has changed there meanwhile
            return _deleted_since(action, result)
        is_name_only = isinstance(action, Update) and action.sha256 is None
        current.done(action, action.path, "its new name" if is_name_only else "")
        if isinstance(action, Delete):
            return None
        if isinstance(action, Create):
            self._conflicts.pushed(action)
        return _agreed(action.entry, result.document)


def _deleted_since(action: Pushed, result: ChangeResult) -> Base | None:
    """The entry of a document that an earlier push had made and that others have deleted.

    Its id was made here, so no other client can have made it.
    """
    if not isinstance(action, Create) or action.revives or result.status != "conflict":
        return None
    document = result.document
    is_gone = document is None or document.is_deleted
    return replace(action.entry, version=NO_VERSION) if is_gone else None


def _revives(action: Pushed) -> bool:
    return isinstance(action, Create) and action.revives


def _restores(action: Pushed) -> bool:
    return isinstance(action, Create) and action.restores


def _agreed(entry: Base, document: Document | None) -> Base | None:
    """The entry of what was pushed, if that is what the server has now.

    If not, another client was quicker: the next pull brings its version.
    """
    if document is None or document.is_deleted or document.file.sha256_hash != entry.sha256:
        return None
    return replace(entry, version=document.updated_at, sent=None)
