"""What becomes of a document: local state by remote state, name and bytes apart."""

from syncapi.client.folder.names import join
from syncapi.client.folder.plan.documents import ContentFate, Doc, Fate
from syncapi.client.folder.rules import Rules


def decide(doc: Doc, rules: Rules) -> None:
    """Fill in the fate of a document, and of its bytes and its place if it is kept."""
    if doc.is_away and _stays_away(doc, rules):
        return
    if doc.remote is None:
        doc.fate = _fate_of_deleted(doc, rules)
    elif doc.file is None:
        doc.fate = _fate_of_missing(doc)
    else:
        doc.content = _content(doc)
    _decide_place(doc, rules)
    if doc.there and rules.ignored(join(*doc.there)) and doc.there != doc.agreed_place:
        _let_go(doc)


def _stays_away(doc: Doc, rules: Rules) -> bool:
    """Whether a document whose path is ignored is left alone; else it has a visible place now.

    A person may have moved the file there, or others the document.
    """
    if doc.file is not None:
        if doc.there and rules.ignored(join(*doc.there)):
            doc.agreed_place = doc.there  # where it went while it was ignored is no name for here
        return False
    if doc.remote is None:
        doc.fate = Fate.FORGET
    elif rules.ignored(join(doc.remote.folder, doc.remote.filename)):
        doc.fate = Fate.IGNORED
    else:
        doc.base, doc.agreed_sha256, doc.agreed_place = None, "", None
        return False
    return True


def _let_go(doc: Doc) -> None:
    """The document has moved to an ignored place: its file here goes, unless it has an edit.

    An edit is pushed first. One that conflicts becomes a document of its own once the ledger has
    forgotten this one, and so does a file that was ignored before.
    """
    if doc.base is None:
        doc.fate = Fate.IGNORED
    elif doc.file is None or doc.was_ignored or doc.content is ContentFate.CONFLICT:
        doc.fate = Fate.FORGET
    elif doc.content is not ContentFate.PUSH:
        doc.fate = Fate.TRASH


def _fate_of_deleted(doc: Doc, rules: Rules) -> Fate:
    if doc.file is None:
        return Fate.FORGET
    changed = doc.was_ignored or doc.here(rules) != doc.agreed_place
    if doc.went_back is not None and not changed:
        return Fate.TRASH
    return Fate.REVIVE if changed or doc.file.sha256 != doc.agreed_sha256 else Fate.TRASH


def _fate_of_missing(doc: Doc) -> Fate:
    """Only the very version that the folder had when its file was deleted is deleted, too.

    Another one with the same name and bytes was written since: the document was restored, say.
    """
    assert doc.remote is not None  # noqa: S101 - the caller's condition
    doc.content = ContentFate.FETCH
    if doc.base is None or doc.is_taken or doc.was_ignored or doc.restored:
        return Fate.KEEP
    is_same = doc.base.version == doc.remote.version and doc.agreed_sha256 == doc.remote.sha256
    return Fate.DELETE if is_same else Fate.KEEP


def _content(doc: Doc) -> ContentFate:
    assert doc.file is not None and doc.remote is not None  # noqa: PT018, S101 - as above
    mine, theirs = doc.file.sha256, doc.remote.sha256
    if mine == theirs:
        return ContentFate.SAME if mine == doc.agreed_sha256 else ContentFate.AGREED
    if mine == doc.agreed_sha256 or doc.went_back == "theirs":
        return ContentFate.FETCH
    is_edit = theirs == doc.agreed_sha256 and doc.went_back is None
    return ContentFate.PUSH if is_edit else ContentFate.CONFLICT


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
