"""Whether a folder went back to an older state, by what the server and the ledger show.

Then a sync asks and does nothing; else it does not ask.
"""

from collections.abc import Iterable
from typing import Final
from uuid import UUID

from simulation.device import Device
from simulation.moments import Moment
from simulation.truth import Truth
from syncapi.client.folder.model import EMPTY, Base

_MOST_ASKED_ABOUT_ALONE: Final = 3


def asked_without_reason(device: Device, moments: Iterable[Moment], truth: Truth) -> list[str]:
    """Whether the last sync took for a backup what can be none.

    Args:
        moments: before that sync, and after it.
    """
    if not device.suspects_backup or device.may_have_gone_back:
        return []
    if any(_may_be_a_backup(moment, truth) for moment in moments):
        return []
    return [f"{device.name}: asks about a backup, and nothing went back"]


def _may_be_a_backup(moment: Moment, truth: Truth) -> bool:
    missing = {entry.id: entry for entry in _missing(moment, moment.entries)}
    at_path = {entry.path: entry for entry in moment.entries}
    back = 0
    for path, sha256 in moment.tree.items():
        own = at_path.get(path)
        if own is None or own.sha256 != sha256:
            had_it = truth.documents_of[sha256]
            back += (own is not None and own.id in had_it) or any(
                missing[document].sha256 != sha256 for document in had_it & missing.keys()
            )
    return back > _MOST_ASKED_ABOUT_ALONE or bool(back and missing)


def deleted_unasked(before: Moment, after: Moment) -> list[str]:
    """Documents that a sync deleted without a question although other files had gone back.

    Args:
        before, after: that sync, in which nobody else did anything.
    """
    entries = [entry for entry in before.agreed() if _is_as_on_server(entry, before)]
    missing, back = _missing(before, entries), _back(before, _at_rest(before))
    deleted = [entry for entry in missing if entry.id not in after.live]
    if not deleted or not (back or _back_under_older_names(before, missing)):
        return []
    deleted = [e for e in deleted if not (e.id in before.aside and e.sha256 in back.values())]
    return [f"{entry.path} was deleted, and nothing asked about a backup" for entry in deleted]


def overwritten_unasked(before: Moment, after: Moment) -> list[str]:
    """Documents that a sync gave the bytes of an older version, about which nobody was asked.

    Args:
        before, after: that sync, in which nobody else did anything.
    """
    was = {document: there.sha256 for document, there in before.live.items()}
    now = {document: there.sha256 for document, there in after.live.items()}
    entries = {entry.id: entry for entry in _at_rest(before)}
    return [
        f"{entries[document].path} has older bytes on the server, and nothing asked about them"
        for document, sha256 in _back(before, entries.values()).items()
        if now.get(document) == sha256 != was[document]
        and (document, entries[document].version, sha256) not in before.asked
    ]


def _at_rest(moment: Moment) -> list[Base]:
    """Entries of live documents of which no step is half done."""
    return [
        entry
        for entry in moment.in_sight()
        if entry.id in moment.live and entry.coming is None and not entry.leaving
    ]


def _is_as_on_server(entry: Base, moment: Moment) -> bool:
    there = moment.live.get(entry.id)
    is_moving = entry.coming is not None or entry.leaving
    return there is not None and there.version == entry.version and not is_moving


def _missing(moment: Moment, entries: Iterable[Base]) -> list[Base]:
    """Entries whose files are in no other place either."""
    here = {moment.identities[path] for path in moment.tree if not moment.covers(path)}
    return [
        entry
        for entry in entries
        if entry.path not in moment.tree and (entry.inode, entry.birth_ns) not in here
    ]


def _back(moment: Moment, entries: Iterable[Base]) -> dict[UUID, str]:
    """SHA-256 of the files with the bytes of an older version that nobody has decided for."""
    had = {(version.id, version.sha256) for version in moment.versions}
    others = {(entry.inode, entry.birth_ns): entry.id for entry in entries}
    return {
        entry.id: sha256
        for entry in entries
        if (sha256 := moment.tree.get(entry.path)) is not None
        and sha256 not in (EMPTY, entry.sha256)
        and (entry.id, entry.version, sha256) not in moment.decided
        and (entry.id, sha256) in had
        and not _has_newest(entry, sha256, moment)
        and others.get(moment.identities[entry.path], entry.id) == entry.id
    }


def _has_newest(entry: Base, sha256: str, moment: Moment) -> bool:
    """Whether the server's version has those bytes, and is none that it went back to."""
    there = moment.live.get(entry.id)
    if there is None or there.sha256 != sha256:
        return False
    return entry.version is None or there.version >= entry.version


def _back_under_older_names(moment: Moment, missing: Iterable[Base]) -> set[str]:
    """Paths of files that are new there, with the bytes that a missing document had there."""
    ids = {entry.id: entry.sha256 for entry in missing}
    had = {
        (version.path, version.sha256)
        for version in moment.versions
        if ids.get(version.id, version.sha256) != version.sha256
    }
    had -= {(entry.path, entry.sha256) for entry in moment.entries}
    had -= {(document.path, document.sha256) for document in moment.live.values()}
    return {path for path, sha256 in had if moment.tree.get(path) == sha256} - {
        path for path in moment.tree if moment.covers(path)
    }
