"""What becomes of a document: local state by remote state, name and bytes apart."""

from syncapi.client.folder.planning.documents import Content, Doc, Fate
from syncapi.client.folder.rules import Rules


def decide(doc: Doc, rules: Rules) -> None:
    """Fill in the fate of a document, and of its bytes and its place if it is kept."""
    if doc.remote is None:
        doc.fate = _fate_of_deleted(doc, rules)
    elif doc.file is None:
        doc.fate = _fate_of_missing(doc)
    else:
        doc.content = _content(doc)
    _decide_place(doc, rules)


def _fate_of_deleted(doc: Doc, rules: Rules) -> Fate:
    if doc.file is None:
        return Fate.FORGET
    renamed = doc.here(rules) != doc.agreed_place
    return Fate.REVIVE if renamed or doc.file.sha256 != doc.agreed_sha256 else Fate.TRASH


def _fate_of_missing(doc: Doc) -> Fate:
    """Only what is as it was when the file was deleted is deleted too."""
    assert doc.remote is not None  # noqa: S101 - the caller's condition
    doc.content = Content.FETCH
    unchanged = doc.remote.sha256 == doc.agreed_sha256 and doc.there == doc.agreed_place
    return Fate.DELETE if unchanged and not doc.restored and doc.base is not None else Fate.KEEP


def _content(doc: Doc) -> Content:
    assert doc.file is not None and doc.remote is not None  # noqa: PT018, S101 - as above
    mine, theirs = doc.file.sha256, doc.remote.sha256
    if mine == theirs:
        return Content.SAME if mine == doc.agreed_sha256 else Content.AGREED
    if theirs == doc.agreed_sha256:
        return Content.PUSH
    return Content.FETCH if mine == doc.agreed_sha256 else Content.CONFLICT


def _decide_place(doc: Doc, rules: Rules) -> None:
    """A name that only one side changed is taken; of two the server's is."""
    there = doc.there or doc.agreed_place
    here = doc.here(rules) if doc.file and doc.base else there
    assert here is not None and there is not None  # noqa: PT018, S101 - a base or a remote has one
    renamed_here = here not in (doc.agreed_place, there)
    renamed_there = there != doc.agreed_place
    doc.renamed_apart = renamed_here and renamed_there
    doc.pushes_place = renamed_here and not renamed_there
    doc.target = here if doc.pushes_place or doc.remote is None else there
