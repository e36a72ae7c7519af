"""What the mirror is about to do to a file, noted in the ledger before it is done.

A process may end between a deed and its note, and the server may change before the next sync. Then
the ledger must not take the mirror's own deed for a person's: a file that the mirror put into the
trash is no deletion, one that it has placed or moved is no edit, no rename and no new file.

The next scan shows which of the noted deeds were done. The inode does: what is placed has that of
its part, which is known before.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from uuid import UUID

from syncapi.client.folder.model import Base, LocalFile, Scan


def before_trash(entry: Base) -> Base:
    """The entry of a file that is about to go to the trash."""
    return replace(entry, coming=None, leaving=True)


def before_move(entry: Base, coming: Base, file: LocalFile) -> Base:
    """The entry of a file that is about to be renamed."""
    moved = replace(coming, inode=file.inode, birth_ns=file.birth_ns)
    return replace(entry, coming=moved, leaving=False)


def before_placing(entry: Base | None, coming: Base, *, replaces: bool) -> Base:
    """The entry of a document whose bytes are about to get their name.

    Args:
        entry: the ledger's; None of a document that it does not know yet.
        coming: what the ledger holds once the file is there, with the inode of its part.
        replaces: whether a file goes to the trash first.
    """
    return replace(entry or _nothing_of(coming), coming=coming, leaving=replaces)


def _nothing_of(coming: Base) -> Base:
    return Base(coming.id, coming.path, None, "", coming.folder, coming.filename)


@dataclass(frozen=True)
class Resolved:
    """The ledger, after the scan has shown which of the noted deeds were done.

    Attributes:
        entries: all that hold.
        changed: those among them that the ledger holds otherwise.
        dropped: documents that never arrived here.
    """

    entries: tuple[Base, ...]
    changed: tuple[Base, ...]
    dropped: tuple[UUID, ...]


def resolve(entries: Iterable[Base], scan: Scan) -> Resolved:
    """Find out which of the noted deeds were done."""
    ground = _Ground(scan)
    kept, changed, dropped = [], [], []
    for entry in entries:
        if entry.coming is None and not entry.leaving:
            kept.append(entry)
            continue
        found = _resolve(entry, ground)
        if found is None:
            dropped.append(entry.id)
            continue
        kept.append(found)
        if found != entry:
            changed.append(found)
    return Resolved(tuple(kept), tuple(changed), tuple(dropped))


class _Ground:
    """The files of a scan, by path and by inode."""

    def __init__(self, scan: Scan) -> None:
        self._scan = scan

    @cached_property
    def by_path(self) -> Mapping[str, LocalFile]:
        return {file.path: file for file in self._scan.files}

    @cached_property
    def _by_inode(self) -> Mapping[int, list[LocalFile]]:
        found: dict[int, list[LocalFile]] = {}
        for file in self._scan.files:
            found.setdefault(file.inode, []).append(file)
        return found

    def file_of(self, entry: Base) -> LocalFile | None:
        """The file with the inode of an entry, wherever it is. Inodes are given out again."""
        for file in self._by_inode.get(entry.inode, ()):
            is_alike = file.path == entry.path or file.sha256 == entry.sha256
            is_born_alike = None not in (entry.birth_ns, file.birth_ns)
            if entry.may_be(file) and (is_born_alike or is_alike):
                return file
        return None


def _resolve(entry: Base, ground: _Ground) -> Base | None:
    coming = entry.coming
    if coming is not None and _has_come(entry, coming, ground):
        return coming
    is_unknown = entry.version is None and not entry.sha256 and entry.sent is None
    return None if is_unknown else _stayed(replace(entry, coming=None), ground)


def _has_come(entry: Base, coming: Base, ground: _Ground) -> bool:
    file = ground.file_of(coming)
    if file is not None:
        return file.path == coming.path or file.path != entry.path
    there = ground.by_path.get(coming.path)
    has_left = entry.path == coming.path or entry.path not in ground.by_path
    return has_left and there is not None and there.sha256 == coming.sha256


def _stayed(entry: Base, ground: _Ground) -> Base:
    """An entry whose file was not placed or moved; it may have gone to the trash."""
    there = ground.by_path.get(entry.path)
    is_its_own = there is not None and there.sha256 == entry.sha256
    if is_its_own or ground.file_of(entry) is not None:
        return replace(entry, leaving=False)
    if there is None:
        return replace(entry, leaving=True)
    if not entry.leaving:
        return entry
    # Somebody has written a new file where the old one may have been taken away: its bytes were
    # made from none that the server has.
    return replace(entry, sha256="", inode=0, birth_ns=None, leaving=False)
