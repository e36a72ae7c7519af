"""From what was decided to actions, with the ledger's entry after each."""

from dataclasses import replace

from syncapi.client.folder.model import Base, LocalFile, RemoteDocument
from syncapi.client.folder.names import join
from syncapi.client.folder.plan.actions import (
    Adopt,
    Create,
    Delete,
    Download,
    Forget,
    Move,
    MoveToTrash,
    Pending,
    Settled,
    SettledKind,
    Update,
)
from syncapi.client.folder.plan.documents import ContentFate, Doc, Fate
from syncapi.client.folder.plan.placing import adoptable
from syncapi.client.folder.plan.sheet import Sheet


def draft(doc: Doc, sheet: Sheet) -> None:
    """Write what is to be done to a document."""
    deed = {
        Fate.KEEP: _keep,
        Fate.FORGET: _forget,
        Fate.TRASH: _trash,
        Fate.DELETE: _delete,
        Fate.REVIVE: _revive,
    }.get(doc.fate)
    if deed is not None:
        deed(doc, sheet)


def _forget(doc: Doc, sheet: Sheet) -> None:
    sheet.actions.append(Forget(doc.id, _base(doc).path))


def _trash(doc: Doc, sheet: Sheet) -> None:
    file = _file(doc)
    if sheet.rules.direction == "push":
        sheet.pending.append(Pending(file.path, doc.id, "trash"))
    else:
        sheet.actions.append(MoveToTrash(doc.id, file.path, file.sha256))


def _delete(doc: Doc, sheet: Sheet) -> None:
    path = _base(doc).path
    if sheet.rules.direction == "pull":
        sheet.pending.append(Pending(path, doc.id, "delete"))
    else:
        sheet.actions.append(Delete(doc.id, path, _remote(doc).version))


def _revive(doc: Doc, sheet: Sheet) -> None:
    file, (folder, name) = _file(doc), doc.target
    if sheet.rules.direction == "pull":
        sheet.pending.append(Pending(file.path, doc.id, "update"))
        return
    entry = Base(doc.id, file.path, None, file.sha256, folder, name, file.inode, file.birth_ns)
    revives = doc.restored or _base(doc).version is not None
    sheet.actions.append(
        Create(
            doc.id,
            file.path,
            file.sha256,
            folder,
            name,
            revives=revives,
            restores=doc.restored and file.sha256 == _base(doc).sha256,
            entry=entry,
        )
    )
    if doc.restored:
        _settle(doc, sheet, "restored", "The server had lost it, and gets it again.")
    elif doc.was_ignored:
        text = "It was deleted there while it was ignored here: it stays."
        _settle(doc, sheet, "edit_survives", text)
    elif _base(doc).version is not None:
        _settle(doc, sheet, "edit_survives", "It was deleted there and changed here: it stays.")


def _keep(doc: Doc, sheet: Sheet) -> None:
    if doc.file is None:
        _arrive(doc, sheet)
        return
    before = len(sheet.actions), len(sheet.moves), len(sheet.pending)
    entry = _conflict(doc, sheet) if doc.content is ContentFate.CONFLICT else _move(doc, sheet)
    if doc.content in (ContentFate.FETCH, ContentFate.CONFLICT):
        entry = _fetch(doc, sheet, entry)
    if doc.content is ContentFate.PUSH or doc.pushes_place:
        _push(doc, sheet, entry)
    _report(doc, sheet)
    if before == (len(sheet.actions), len(sheet.moves), len(sheet.pending)):
        _note(doc, sheet)


def _arrive(doc: Doc, sheet: Sheet) -> None:
    """A document without a file gets one, unless its bytes are there already."""
    remote = _remote(doc)
    there = Base(doc.id, doc.path, remote.version, remote.sha256, remote.folder, remote.filename)
    found = adoptable(doc, sheet.ground)
    if found is not None:
        entry = replace(there, path=found.path, inode=found.inode, birth_ns=found.birth_ns)
        sheet.actions.append(Adopt(doc.id, found.path, entry))
        sheet.spoken_for.add(found.path)
        return
    _displace(doc, sheet)
    _fetch(doc, sheet, there)
    if doc.base is not None and doc.base.sha256 and not doc.was_ignored:
        _settle(doc, sheet, "edit_survives", "It was changed there and deleted here: it is back.")
    _report(doc, sheet)


def _displace(doc: Doc, sheet: Sheet) -> None:
    """Set aside what is no document's and has the name of one."""
    stray = sheet.ground.stray(doc.path)
    if stray is not None and sheet.rules.direction == "both":
        sheet.set_aside(stray, None)


def _conflict(doc: Doc, sheet: Sheet) -> Base:
    if not _is_there(doc, sheet):
        _displace(doc, sheet)
    entry = replace(_base(doc), sha256="", inode=0, birth_ns=None, sent=None)
    sheet.set_aside(_file(doc), entry)
    return entry


def _move(doc: Doc, sheet: Sheet) -> Base:
    base, file, remote = _base(doc), _file(doc), _remote(doc)
    if sheet.rules.direction == "push" and doc.target != doc.here(sheet.rules):
        sheet.pending.append(Pending(file.path, doc.id, "move"))
    if file.path == doc.path:
        return base
    if not _is_there(doc, sheet):
        _displace(doc, sheet)
    entry = replace(
        base,
        path=doc.path,
        folder=remote.folder,
        filename=remote.filename,
        sent=None,
        was_ignored=False,
    )
    if doc.content in (ContentFate.SAME, ContentFate.AGREED):
        entry = replace(entry, sha256=remote.sha256, version=remote.version, lost=False)
    sheet.moves.append(Move(doc.id, file.path, doc.path, file.sha256, entry))
    sheet.moved[doc.id] = base
    return entry


def _fetch(doc: Doc, sheet: Sheet, entry: Base) -> Base:
    remote = _remote(doc)
    if sheet.rules.direction == "push":
        sheet.pending.append(Pending(doc.path, doc.id, "download"))
        return entry
    replaced = doc.file.sha256 if doc.file and doc.content is ContentFate.FETCH else None
    entry = _with_place(doc, entry) if not doc.pushes_place else entry
    entry = replace(
        entry,
        version=remote.version,
        sha256=remote.sha256,
        inode=0,
        birth_ns=None,
        lost=False,
        sent=None,
        was_ignored=False,
    )
    sheet.actions.append(Download(doc.id, doc.path, remote.sha256, remote.size, replaced, entry))
    return entry


def _push(doc: Doc, sheet: Sheet, entry: Base) -> None:
    file, remote = _file(doc), _remote(doc)
    if sheet.rules.direction == "pull":
        sheet.pending.append(Pending(file.path, doc.id, "update"))
        return
    folder, name = doc.target
    agreed_folder, agreed_name = doc.target
    if sheet.rules.ignored(join(folder, name)) and doc.agreed_place:
        agreed_folder, agreed_name = doc.agreed_place  # it has moved to where it is let go next
    if doc.content is ContentFate.PUSH:
        entry = replace(entry, sha256=file.sha256, inode=file.inode, birth_ns=file.birth_ns)
    elif doc.content is ContentFate.AGREED:
        entry = replace(entry, sha256=remote.sha256)
    entry = replace(
        entry,
        path=doc.path,
        version=remote.version,
        folder=agreed_folder,
        filename=agreed_name,
        lost=False,
        sent=None,
        was_ignored=False,
    )
    sheet.actions.append(
        Update(
            doc.id,
            doc.path,
            file.sha256 if doc.content is ContentFate.PUSH else None,
            folder if folder != remote.folder else None,
            name if name != remote.filename else None,
            remote.version,
            entry,
        )
    )


def _note(doc: Doc, sheet: Sheet) -> None:
    """Both sides are alike: the ledger learns what it does not know yet."""
    remote, file = _remote(doc), _file(doc)
    entry = replace(
        _with_place(doc, _base(doc)),
        version=remote.version,
        sha256=remote.sha256,
        lost=False,
        sent=None,
        was_ignored=False,
    )
    if doc.stale or entry != doc.base:
        entry = replace(entry, inode=file.inode, birth_ns=file.birth_ns)
        sheet.actions.append(Adopt(doc.id, file.path, entry))


def _report(doc: Doc, sheet: Sheet) -> None:
    if doc.renamed_apart:
        text = "It was renamed on both sides. The server's name is taken."
        _settle(doc, sheet, "renamed_apart", text)
    if doc.restored and doc.content is ContentFate.PUSH:
        _settle(
            doc, sheet, "restored", "The server had an older version, and gets this one again."
        )
    plain = sheet.ground.aligned(join(*doc.target))
    is_apart = sheet.rules.spelling(plain) != sheet.rules.spelling(doc.path)
    if is_apart and not doc.pushes_place and not sheet.rules.ignored(plain):
        _settle(doc, sheet, "alike", f"Another document has the name {plain} here.")


def _settle(doc: Doc, sheet: Sheet, kind: SettledKind, detail: str) -> None:
    path = doc.path or (doc.file.path if doc.file else "")
    sheet.settled.append(Settled(path, doc.id, kind, detail))


def _is_there(doc: Doc, sheet: Sheet) -> bool:
    return sheet.rules.key(_file(doc).path) == sheet.rules.key(doc.path)


def _with_place(doc: Doc, entry: Base) -> Base:
    remote = _remote(doc)
    return replace(entry, path=doc.path, folder=remote.folder, filename=remote.filename)


def _base(doc: Doc) -> Base:
    assert doc.base is not None  # noqa: S101 - asked of documents with an entry only
    return doc.base


def _file(doc: Doc) -> LocalFile:
    assert doc.file is not None  # noqa: S101 - asked of documents with a file only
    return doc.file


def _remote(doc: Doc) -> RemoteDocument:
    assert doc.remote is not None  # noqa: S101 - asked of documents on the server only
    return doc.remote
