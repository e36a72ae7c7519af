"""The queue on its way to the server: contents first, then changes, then what it says of each."""

import asyncio
from collections import Counter
from typing import Final, TypeAlias
from uuid import UUID

from syncapi.client.api.client import Client
from syncapi.client.errors import ApiError, ContentMissing, InvalidRequest, StoreDamaged
from syncapi.client.follower.batches import Answer, push_each
from syncapi.client.follower.histories import missing_in_history, versions_of
from syncapi.client.follower.remote import Remote
from syncapi.client.follower.values import values_of
from syncapi.client.replica.conflict_handler import Settling
from syncapi.client.replica.conflicts import Strategy
from syncapi.client.replica.failures import Failures, What, raise_what_ends_the_run
from syncapi.client.replica.losses import Losses
from syncapi.client.replica.outbox import Outbox
from syncapi.client.replica.overlay import changed_fields
from syncapi.client.replica.records import ContentHash, PendingChange
from syncapi.client.replica.results import Tally
from syncapi.client.replica.tables import Tables
from syncapi.client.replica.wire_changes import is_as_changed, pushed_change
from syncapi.client.transfer.uploads import Uploader
from syncapi.protocol.documents import Document
from syncapi.protocol.media_types import media_type_fault
from syncapi.protocol.push import ChangeResult, PushedChange
from syncapi.protocol.versions import NO_VERSION

_MOST_TRIES: Final = 8
"""Of one document in one run, where others change it again and again meanwhile."""

Ready: TypeAlias = tuple[PendingChange, UUID | None]
"""A change, and the file id of its content."""


class Sending:
    """Empties the queue."""

    def __init__(
        self,
        client: Client,
        tables: Tables,
        outbox: Outbox,
        remote: Remote,
        settling: Settling,
        losses: Losses,
        failures: Failures,
    ) -> None:
        self._client = client
        self._tables = tables
        self._outbox = outbox
        self._uploader = Uploader(client)
        self._remote = remote
        self._settling = settling
        self._losses = losses
        self._failures = failures

    async def run(self, strategy: Strategy, tally: Tally, *, is_informed: bool = False) -> None:
        """Send until all is answered, or has failed in this run.

        Args:
            strategy: settles conflicts.
            tally: counts what is done.
            is_informed: the feed was read just before. Otherwise, where the server has nothing of
                a document that is held, the feed must show first whether it was deleted or lost.
        """
        done: set[UUID] = set()
        tries: Counter[UUID] = Counter()
        await self._settling.judge_new(strategy, tally)
        while batch := self._outbox.batch(done):
            tries.update(change.id for change in batch)
            done |= await self._send(batch, tally, is_informed=is_informed)
            done |= {document for document, times in tries.items() if times >= _MOST_TRIES}
            await self._settling.judge_new(strategy, tally)

    async def _send(
        self, batch: list[PendingChange], tally: Tally, *, is_informed: bool
    ) -> set[UUID]:
        """Send a batch; returns the documents to leave alone for the rest of the run."""
        files, failed = await self._upload(batch, tally)
        ready = self._write([change for change in batch if change.id not in failed], files, tally)
        failed |= {change.id for change in batch} - set(ready)
        sent = self._outbox.mark_sent([change for change in batch if change.id in ready])
        if not sent:
            return failed
        before = {change.id: change.is_sent for change in batch}
        changes = [ready[change.id] for change in sent]
        answers = await push_each(self._client, changes, sent[0].on_conflict)
        made = await self._versions_made(sent, answers)
        lost = await self._lost_meanwhile(sent, answers)
        with self._tables.store.transaction():
            for change, answer in zip(sent, answers, strict=True):
                if not is_informed and self._is_unexplained(change, answer):
                    tally.is_unexplained = True
                    is_done = False
                elif change.id in lost and isinstance(answer, ChangeResult):
                    is_done = self._keep_lost(change, answer, lost[change.id], tally)
                else:
                    is_done = self._take(change, answer, made.get(change.id), tally)
                if not is_done:
                    failed.add(change.id)
                    self._release(change, answer, was_sent=before[change.id])
        return failed

    async def _upload(
        self, batch: list[PendingChange], tally: Tally
    ) -> tuple[dict[str, UUID], set[UUID]]:
        """Have the contents there; returns file ids by SHA-256, and whose upload failed."""
        contents = {change.content: change for change in batch if change.content is not None}
        uploads = [self._upload_one(content, change) for content, change in contents.items()]
        outcomes = await asyncio.gather(*uploads, return_exceptions=True)
        raise_what_ends_the_run(outcomes)
        files = dict(zip(contents, outcomes, strict=True))
        failed = set()
        with self._tables.store.transaction():
            for change in batch:
                outcome = None if change.content is None else files[change.content]
                if isinstance(outcome, BaseException):
                    self._note(change, "upload", outcome, tally)
                    failed.add(change.id)
        ids = {content.sha256: id_ for content, id_ in files.items() if isinstance(id_, UUID)}
        return ids, failed

    async def _upload_one(self, content: ContentHash, change: PendingChange) -> UUID:
        kind = change.mime_type or (change.base.mime_type if change.base else None)
        held = self._tables.store.blobs.content(content.sha256, content.size)
        if kind is None or media_type_fault(kind) is not None:  # by SQL a document may have any
            kind = "application/octet-stream"
        try:
            file = await self._uploader.send(held, content.digest(), kind)
        except StoreDamaged as error:
            if self._tables.store.blobs.has(content.sha256):
                raise
            # It is the content of a version whose bytes were never fetched.
            raise ContentMissing(
                "Neither the server nor this replica has the bytes of this document. Give it a "
                "content by `update`, or give the change up by `revert`."
            ) from error
        return file.id

    def _write(
        self, changes: list[PendingChange], files: dict[str, UUID], tally: Tally
    ) -> dict[UUID, PushedChange]:
        """What is sent of each; one that has no form that could be sent is set aside."""
        written = {}
        for change in changes:
            try:
                written[change.id] = pushed_change(change, _file_of(change, files))
            except InvalidRequest as error:
                self._note(change, "push", error, tally)
        return written

    def _note(self, change: PendingChange, what: What, error: BaseException, tally: Tally) -> None:
        """Remember that a change failed, unless it was altered or given up meanwhile."""
        with self._tables.store.transaction():
            if self._outbox.is_head(change):
                self._failures.note(change.id, what, error, tally)

    def _release(self, change: PendingChange, answer: Answer, *, was_sent: bool) -> None:
        """Let a refused change be altered, unless an earlier try of it may have arrived."""
        if isinstance(answer, ChangeResult) or not was_sent:
            self._outbox.release(change)

    def _take(
        self, change: PendingChange, answer: Answer, made: Document | None, tally: Tally
    ) -> bool:
        """Act on an answer; returns whether it was one that moves the queue on."""
        is_head = self._outbox.is_head(change)
        if isinstance(answer, ApiError):
            if is_head:
                self._failures.note(change.id, "push", answer, tally)
            return not is_head
        tally.pushed.append(answer)
        is_done = answer.status in {"applied", "unchanged"}
        if not is_head:  # it was given up meanwhile, and another one may be in its place
            if is_done:
                self._remote.answered(change.id, answer.document)
            return True
        if answer.problem is not None and answer.problem.code != "not_found":
            refusal = (answer.problem.code, answer.problem.detail)
            self._failures.note_refusal(change.id, "push", refusal, tally)
            return False
        self._failures.clear(change.id)
        server = _server_of(answer)
        if _is_older(server, change):
            self._remote.note_that_it_went_back()
            return False
        if is_done:
            self._remote.answered(change.id, answer.document)
            self._outbox.advance(change, answer.document, made)
            self._settling.follow(change.id, answer.document)
            return True
        has_base = answer.conflict is not None and answer.conflict.base is not None
        self._remote.answered(change.id, server)
        self._settling.record(change, server, has_base=has_base)
        return True

    def _is_unexplained(self, change: PendingChange, answer: Answer) -> bool:
        """Whether the server has nothing of a document that is held: it is deleted, or lost."""
        if isinstance(answer, ApiError) or answer.document is not None or change.op == "create":
            return False
        if not self._outbox.is_head(change):
            return False
        is_nothing = answer.status == "unchanged" or (
            answer.problem is not None and answer.problem.code == "not_found"
        )
        return is_nothing and self._tables.documents.get(str(change.id)) is not None

    def _keep_lost(
        self, change: PendingChange, answer: ChangeResult, held: Document, tally: Tally
    ) -> bool:
        """Act on an answer that shows that the server has lost the version held here."""
        server = _server_of(answer)
        assert server is not None  # noqa: S101 - the version is held against it
        tally.pushed.append(answer)
        self._remote.note_that_it_went_back()
        if not self._outbox.is_head(change):
            return True  # it was given up meanwhile: the resync that is due finds the version
        self._failures.clear(change.id)
        if answer.conflict is None:
            self._losses.keep_overwritten(change, held, server)
            self._remote.answered(change.id, server, has_overwritten=True)
        else:
            self._remote.answered(change.id, server, has_overwritten=True)
            self._settling.record(change, server, has_base=answer.conflict.base is not None)
            self._losses.keep_third(held)
        return True

    async def _lost_meanwhile(
        self, sent: list[PendingChange], answers: list[Answer]
    ) -> dict[UUID, Document]:
        """Versions held here that the server has lost, though it is no older than the change.

        They came after the change was made. To take it, the server must have lost them, unless it
        took it before they came, or they are copies of what was changed; to refuse it, it must
        have them in its history.
        """
        lost = {}
        for change, answer in zip(sent, answers, strict=True):
            held = self._tables.documents.get(str(change.id))
            server = None if isinstance(answer, ApiError) else _server_of(answer)
            if isinstance(answer, ApiError) or held is None or server is None or change.is_lost:
                continue
            is_newer = held.updated_at > (change.base_updated_at or NO_VERSION)
            if not is_newer or held.updated_at == server.updated_at or _is_older(server, change):
                continue
            if is_as_changed(held, change):
                continue
            is_certain = answer.status == "applied" and not _is_copy(held, change.base)
            if is_certain or await missing_in_history(self._client, [held]):
                lost[change.id] = held
        return lost

    async def _versions_made(
        self, sent: list[PendingChange], answers: list[Answer]
    ) -> dict[UUID, Document]:
        """The versions that repeated changes became, where others came after them.

        What was changed here since is an edit of that version, not of the server's last.
        """
        made = {}
        for change, answer in zip(sent, answers, strict=True):
            if isinstance(answer, ApiError) or answer.status != "unchanged":
                continue
            document = answer.document
            follows = self._tables.later.get(str(change.id)) is not None
            if follows and document is not None and not is_as_changed(document, change):
                made[change.id] = await self._version_made(change, document)
        return made

    async def _version_made(self, change: PendingChange, document: Document) -> Document:
        version = NO_VERSION  # erased with its history: then it is in conflict with that
        async for found in versions_of(self._client, change.id):
            if found.change_id == change.change_id:
                version = found.updated_at
                break
        under = change.base or document
        return under.model_copy(update={**changed_fields(change), "updated_at": version})


def _file_of(change: PendingChange, files: dict[str, UUID]) -> UUID | None:
    return None if change.content is None else files[change.content.sha256]


def _server_of(answer: ChangeResult) -> Document | None:
    """The document as the server has it now."""
    return answer.document if answer.conflict is None else answer.conflict.server


def _is_copy(held: Document, base: Document | None) -> bool:
    """Whether a later version has the values of the one that was changed."""
    return base is not None and values_of(held) == values_of(base)


def _is_older(server: Document | None, change: PendingChange) -> bool:
    base = change.base_updated_at
    return server is not None and base is not None and server.updated_at < base
