"""Somebody who changes documents through a replica."""

import hashlib
import io
import random
from collections.abc import Callable, Mapping
from typing import BinaryIO, Final, TypeAlias
from uuid import UUID

from simulation.people import Contents
from simulation.replicas.held import given, written_in
from simulation.replicas.program import Program
from simulation.replicas.wishes import Marks, marks_of
from syncapi.client.errors import ContentReplaced, StoreBusy, SyncError
from syncapi.client.follower.values import values_of
from syncapi.client.replica.conflicts import FIELDS, conflict_of
from syncapi.client.replica.replica import Replica
from syncapi.client.transfer.contents import AnyContent
from syncapi.protocol.documents import Document

_Act: TypeAlias = Callable[[Replica, Document, bool], str]
_CHOICES: Final = ("mine", "theirs", "both")


class Slow:
    """Bytes that are read in two goes, to hash and to copy them: others act before one of them."""

    def __init__(self, data: bytes, at: int, act: Callable[[], object]) -> None:
        self.size = len(data)
        self._data = data
        self._at = at
        self._act = act
        self._times = 0

    def open(self) -> BinaryIO:
        self._times += 1
        if self._times == self._at:
            self._act()
        return io.BytesIO(self._data)


class User:
    """One of those who use a program. All of them share what they have seen and asked for.

    Args:
        before_copied: happens now and then while a content is copied in, in the given read of two.
    """

    def __init__(
        self,
        program: Program,
        rng: random.Random,
        contents: Contents,
        marks: Marks,
        before_copied: Callable[[int], object],
    ) -> None:
        self._program = program
        self._wishes = program.wishes
        self._rng = rng
        self._contents = contents
        self._marks = marks
        self._before_copied = before_copied
        self._bytes: dict[str, bytes] = {}
        self._deleted: list[UUID] = []

    def act(self, replica: Replica, *, may_copy: bool = True, is_slow: bool = False) -> str:
        """Do something; say what, and what was in the way.

        Args:
            replica: of the process in which it is done.
            may_copy: whether a content can be copied in.
            is_slow: others act while it is copied in.
        """
        acts: dict[_Act, int] = {
            self._rename: 4,
            self._retype: 1,
            self._delete: 2,
            self._resolve: 2,
            self._revert: 1,
            self._read: 1,
        }
        copying: dict[_Act, int] = {
            self._create: 4,
            self._rewrite: 6,
            self._undo: 2,
            self._change_all: 2,
        }
        acts = copying if is_slow else acts | copying if may_copy else acts
        act = self._rng.choices(list(acts), list(acts.values()))[0]
        document = self._some_document(replica)
        if document is None:
            act = self._create
        if act == self._create and not may_copy:
            return "nothing to do"
        try:
            return act(replica, document, is_slow)  # type: ignore[arg-type] # `_create` takes None
        except SyncError as error:
            if type(error) not in {SyncError, StoreBusy, ContentReplaced}:
                raise
            return f"{act.__name__}: {error}"

    def _some_document(self, replica: Replica) -> Document | None:
        """Often one that was changed already."""
        known = replica.documents()
        waiting = {change.id for change in replica.pending()}
        changed = [document for document in known if document.id in waiting]
        if changed and self._rng.random() < 0.5:
            return self._rng.choice(changed)
        return self._rng.choice(known) if known else None

    def _create(self, replica: Replica, _document: Document | None, is_slow: bool) -> str:
        made = self._program.new_id()
        if self._deleted and self._rng.random() < 0.2:
            made = self._deleted.pop()
        fields = {
            "filename": self._marks.filename(),
            "folder": self._rng.choice(("", self._marks.folder())),
            "mime_type": self._marks.mime_type(),
        }
        content, sha256 = self._new()
        self._wishes.made.add(made)
        self._wishes.ask(made, {**fields, "content": sha256})
        replica.create(
            fields.pop("filename"), self._given(content, None, is_slow), id=made, **fields
        )
        return f"create {made}"

    def _rename(self, replica: Replica, document: Document, _is_slow: bool) -> str:
        fields = {"filename": self._marks.filename()}
        if self._rng.random() < 0.3:
            fields["folder"] = self._marks.folder()
        self._begin(replica, document, fields)
        replica.update(document.id, filename=fields["filename"], folder=fields.get("folder"))
        return f"rename {document.id} to {fields}"

    def _retype(self, replica: Replica, document: Document, _is_slow: bool) -> str:
        fields = {"mime_type": self._marks.mime_type()}
        self._begin(replica, document, fields)
        replica.update(document.id, mime_type=fields["mime_type"])
        return f"retype {document.id}"

    def _rewrite(self, replica: Replica, document: Document, is_slow: bool) -> str:
        content, sha256 = self._new()
        return self._write(replica, document, content, {"content": sha256}, is_slow)

    def _change_all(self, replica: Replica, document: Document, is_slow: bool) -> str:
        content, sha256 = self._new()
        fields = {
            "filename": self._marks.filename(),
            "mime_type": self._marks.mime_type(),
            "content": sha256,
        }
        return self._write(replica, document, content, fields, is_slow)

    def _undo(self, replica: Replica, document: Document, is_slow: bool) -> str:
        """Go back to bytes that the document had."""
        earlier = sorted(map(str, self._wishes.seen[document.id]["content"]))
        known = [sha256 for sha256 in earlier if sha256 in self._bytes]
        if not known:
            return self._rewrite(replica, document, is_slow)
        sha256 = self._rng.choice(known)
        return self._write(replica, document, self._bytes[sha256], {"content": sha256}, is_slow)

    def _write(
        self,
        replica: Replica,
        document: Document,
        content: bytes,
        fields: dict[str, str],
        is_slow: bool,
    ) -> str:
        given_up = self._begin(replica, document, fields)

        def supersede() -> None:
            self._supersede(replica, document.id, fields)

        replica.update(
            document.id,
            filename=fields.get("filename"),
            mime_type=fields.get("mime_type"),
            content=self._given(content, supersede, is_slow),
        )
        self._wishes.give_up(given_up)  # others may have written it once more before this came
        return f"write {document.id}: {fields}"

    def _delete(self, replica: Replica, document: Document, _is_slow: bool) -> str:
        self._begin(replica, document, None)
        replica.delete(document.id)
        self._deleted.append(document.id)
        return f"delete {document.id}"

    def _resolve(self, replica: Replica, document: Document, _is_slow: bool) -> str:
        conflicts = replica.conflicts()
        if not conflicts:
            return self._rename(replica, document, False)
        record, choice = self._rng.choice(conflicts), self._rng.choice(_CHOICES)
        self.resolve(replica, record.id, choice)
        return f"resolve {record.id}: {choice}"

    def resolve(self, replica: Replica, document_id: UUID, choice: str) -> None:
        """Settle an open conflict."""
        (record,) = [record for record in replica.conflicts() if record.id == document_id]
        conflict = conflict_of(record)
        self._wishes.touched.add(document_id)
        self._wishes.resolved.add(document_id)
        self._wishes.see(document_id, conflict.theirs)
        if choice == "mine" or (choice == "both" and conflict.theirs is None):
            self._wishes.ask(document_id, conflict.mine)
            self._wishes.write_over(document_id, conflict.theirs)
        replica.resolve(document_id, choice)  # type: ignore[arg-type] # it is one of the three

    def _revert(self, replica: Replica, _document: Document, _is_slow: bool) -> str:
        changed = [change.id for change in replica.pending()]
        changed += [record.id for record in replica.conflicts()]
        if not changed:
            return "nothing to revert"
        document_id = self._rng.choice(changed)
        self._supersede(replica, document_id, dict.fromkeys(FIELDS, ""), lost=True)
        self._wishes.touched.add(document_id)
        replica.revert(document_id)
        return f"revert {document_id}"

    def _read(self, replica: Replica, document: Document, _is_slow: bool) -> str:
        content = replica.content(document.id)
        if content is None:
            return f"no bytes of {document.id}"
        with content.open() as stream:
            found = hashlib.sha256(stream.read()).hexdigest()
        if found != document.file.sha256_hash:
            raise AssertionError(f"{document.id} has other bytes than it should have")
        return f"read {document.id}"

    def _begin(
        self, replica: Replica, document: Document, fields: dict[str, str] | None
    ) -> set[str]:
        """Note a change that is about to be made, of what is in sight; return what gives way."""
        before = values_of(document)
        changed = fields or dict.fromkeys(FIELDS, "")
        self._wishes.see(document.id, before)
        self._wishes.write_over(document.id, {name: before[name] for name in changed})
        given_up = self._supersede(replica, document.id, changed)
        self._wishes.ask(document.id, fields)
        return given_up

    def _supersede(
        self, replica: Replica, document_id: UUID, fields: dict[str, str], *, lost: bool = False
    ) -> set[str]:
        """Note what waits of these fields: a later change takes its place."""
        pending = [change for change in replica.pending() if change.id == document_id]
        waiting: list[Mapping[str, object]] = [
            given(change) for change in pending if lost or not change.is_lost
        ]
        waiting += map(written_in, (r for r in replica.conflicts() if r.id == document_id))
        given_up: set[str] = set()
        for values in waiting:
            before = {name: value for name, value in values.items() if name in fields}
            given_up |= marks_of(before) - marks_of(fields)
        self._wishes.give_up(given_up)
        return given_up

    def _new(self) -> tuple[bytes, str]:
        content = self._contents.new()
        sha256 = hashlib.sha256(content).hexdigest()
        self._bytes[sha256] = content
        return content, sha256

    def _given(
        self, content: bytes, supersede: Callable[[], None] | None, is_slow: bool
    ) -> AnyContent:
        if not is_slow:
            return content
        at = self._rng.choice((1, 2))

        def act() -> None:
            self._before_copied(at)
            if supersede is not None:
                supersede()

        return Slow(content, at, act)
