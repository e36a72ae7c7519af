"""Which file is which document's, also under another name.

The path decides as long as there is a file: programs save by writing a new file and renaming it
over the old one, so another inode at the same path is an edit. Only a file that is missing from
its path is looked for elsewhere, and one whose path another document's file has taken (a swap).
What counts as the same file under another name, the strongest first:

1. the interim name that the mirror itself gave it;
2. the same inode, and with it the same bytes or the same time of birth;
3. the same bytes, unless the mirror itself has taken the file away; of several such files the one
   with the same name, then the first by path. Empty files are all alike, so they must have the
   same name;
4. the same inode and the same name in another folder: moved, then edited.

A file whose path is ignored may still be there, and what looks like it be a copy: it is known
elsewhere by 2 alone.

The inode alone is nothing: file systems give a deleted file's inode to the next new file.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from syncapi.client.folder.conflict_names import is_conflict_of, is_interim
from syncapi.client.folder.model import EMPTY, Base, LocalFile
from syncapi.client.folder.names import split
from syncapi.client.folder.plan.documents import Doc
from syncapi.client.folder.rules import Rules


def match(docs: Iterable[Doc], files: Iterable[LocalFile], rules: Rules) -> list[LocalFile]:
    """Give each document its file; return the files that are no document's."""
    pool = _Pool(rules, {rules.spelling(file.path): file for file in files})
    docs = [doc for doc in docs if doc.base is not None]
    missing = [doc for doc in docs if not doc.is_away]
    for step in _STEPS:
        missing = step(missing, pool)
    for doc in docs:
        if doc.is_away:
            pool.take(doc, _surely(_base(doc), pool))
    return list(pool.free.values())


@dataclass(slots=True)
class _Pool:
    rules: Rules
    free: dict[str, LocalFile]
    by_inode: dict[int, list[LocalFile]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for file in self.free.values():
            if file.inode:
                self.by_inode.setdefault(file.inode, []).append(file)

    def at(self, path: str) -> LocalFile | None:
        return self.free.get(self.rules.spelling(path))

    def take(self, doc: Doc, file: LocalFile | None) -> bool:
        if file is None:
            return False
        doc.file = file
        del self.free[self.rules.spelling(file.path)]
        return True

    def with_inode(self, base: Base) -> list[LocalFile]:
        """Free files that may be the one with the inode of old."""
        return [
            file
            for file in self.by_inode.get(base.inode, ())
            if self.at(file.path) is file
            and not is_conflict_of(file.path, base.path)
            and base.may_be(file)
        ]


def _base(doc: Doc) -> Base:
    assert doc.base is not None  # noqa: S101 - only documents with one are matched
    return doc.base


def _interim(docs: list[Doc], pool: _Pool) -> list[Doc]:
    files = [file for file in pool.free.values() if " (moving " in file.path]

    def found(doc: Doc) -> LocalFile | None:
        return next((file for file in files if is_interim(file.path, doc.id)), None)

    return [doc for doc in docs if not pool.take(doc, found(doc))] if files else docs


def _same_inode(docs: list[Doc], pool: _Pool) -> list[Doc]:
    """Those whose path has the same inode as ever.

    They come first: after a crash two entries may name one path.
    """

    def found(doc: Doc) -> LocalFile | None:
        file = pool.at(_base(doc).path)
        return file if file is not None and _base(doc).may_be(file) else None

    return [doc for doc in docs if not pool.take(doc, found(doc))]


def _unchanged(docs: list[Doc], pool: _Pool) -> list[Doc]:
    """Those whose path has the same bytes as ever."""

    def found(doc: Doc) -> LocalFile | None:
        file = pool.at(_base(doc).path)
        return file if file is not None and file.sha256 == _base(doc).sha256 else None

    return [doc for doc in docs if not pool.take(doc, found(doc))]


def _displaced(docs: list[Doc], pool: _Pool) -> list[Doc]:
    """Those that are surely elsewhere, and whose own path has a file of another such one, if any.

    Cycles and chains of names are whole or not at all: where one of them stays on its path, that
    path is its own, and who would have moved there has not.
    """
    moved = _found_elsewhere(docs, pool)
    at_path = {pool.rules.spelling(_base(doc).path): doc.id for doc in docs}
    wanderers = [doc for doc in docs if doc.id in moved]
    while True:
        arrived = {file.path for file in moved.values()}
        staying = []
        for doc in wanderers:
            file = pool.at(_base(doc).path)
            owner = at_path.get(pool.rules.spelling(moved[doc.id].path))
            kept = file is not None and file.path not in arrived
            if kept or (owner is not None and owner not in moved):
                staying.append(doc.id)
        if not staying:
            return [doc for doc in docs if not pool.take(doc, moved.get(doc.id))]
        for document in staying:
            del moved[document]
        wanderers = [doc for doc in wanderers if doc.id in moved]


def _found_elsewhere(docs: list[Doc], pool: _Pool) -> dict[UUID, LocalFile]:
    moved: dict[UUID, LocalFile] = {}
    taken: set[str] = set()
    for doc in docs:
        file = _surely(_base(doc), pool)
        if file is not None and file.path not in taken:
            moved[doc.id] = file
            taken.add(file.path)
    return moved


def _surely(base: Base, pool: _Pool) -> LocalFile | None:
    for file in pool.with_inode(base):
        if file.sha256 == base.sha256 or (base.birth_ns and file.birth_ns):
            return file
    return None


def _on_path(docs: list[Doc], pool: _Pool) -> list[Doc]:
    return [doc for doc in docs if not pool.take(doc, pool.at(_base(doc).path))]


def _same_bytes(docs: list[Doc], pool: _Pool) -> list[Doc]:
    by_sha256: dict[str, list[LocalFile]] = {}
    for file in pool.free.values() if docs else ():
        by_sha256.setdefault(file.sha256, []).append(file)

    def found(doc: Doc, *, same_name: bool) -> LocalFile | None:
        base = _base(doc)
        for file in () if doc.is_taken else by_sha256.get(base.sha256, ()):
            named = _filename(base.path, pool) == _filename(file.path, pool)
            free = pool.at(file.path) is file and not is_conflict_of(file.path, base.path)
            if free and (named or not (same_name or base.sha256 == EMPTY)):
                return file
        return None

    docs = [doc for doc in docs if not pool.take(doc, found(doc, same_name=True))]
    return [doc for doc in docs if not pool.take(doc, found(doc, same_name=False))]


def _moved_and_edited(docs: list[Doc], pool: _Pool) -> list[Doc]:
    def found(doc: Doc) -> LocalFile | None:
        name = _filename(_base(doc).path, pool)
        files = pool.with_inode(_base(doc))
        return next((file for file in files if _filename(file.path, pool) == name), None)

    return [doc for doc in docs if not pool.take(doc, found(doc))]


def _filename(path: str, pool: _Pool) -> str:
    return split(pool.rules.spelling(path))[1]


_STEPS: Final = (
    _interim,
    _same_inode,
    _unchanged,
    _displaced,
    _on_path,
    _same_bytes,
    _moved_and_edited,
)
