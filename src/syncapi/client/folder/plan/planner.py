"""The planner: from three states to what has to be done. A pure function.

The table in the documentation ("What becomes of a file") is what it does, and drives its tests.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Final
from uuid import UUID

from syncapi.client.folder.conflict_names import is_interim
from syncapi.client.folder.ignore_rules import IGNORE_FILE
from syncapi.client.folder.model import Base, LocalFile, RemoteDocument, Scan
from syncapi.client.folder.names import folders_of, join
from syncapi.client.folder.plan.actions import Pending, Plan, Problem
from syncapi.client.folder.plan.deciding import decide
from syncapi.client.folder.plan.documents import Doc, Fate, WentBack, document_of
from syncapi.client.folder.plan.drafting import draft
from syncapi.client.folder.plan.ground import Ground
from syncapi.client.folder.plan.matching import match
from syncapi.client.folder.plan.placing import Obstacle, Placement, ignored_in_the_way
from syncapi.client.folder.plan.sheet import Sheet
from syncapi.client.folder.rules import Direction, Rules

__all__ = ["Direction", "Rules", "WentBack", "plan"]

_UNREAD: Final = {"unreadable", "busy", "undecodable"}
_WAYS_OUT: Final = {
    "unreadable": f". Make it readable, or name it in {IGNORE_FILE}.",
    "busy": " The next sync looks at it again.",
    "undecodable": "",
    "symlink": " Put the file back, or delete the link.",
    "special": " Put the file back, or delete what is there.",
}


def plan(  # noqa: PLR0913 - all that a plan depends on
    bases: Iterable[Base],
    scan: Scan,
    remotes: Iterable[RemoteDocument],
    rules: Rules,
    *,
    new_id: Callable[[], UUID],
    device: str,
    now: datetime,
    went_back: Mapping[UUID, WentBack] = MappingProxyType({}),
) -> Plan:
    """What brings the folder and the server in step, without losing a byte of either.

    Args:
        bases: the ledger.
        scan: the folder.
        remotes: the documents that live on the server.
        rules: how this folder is kept.
        new_id: makes the id of a new document.
        device: named in the names of conflicts.
        now: its date is named there, too.
        went_back: documents whose files here have the bytes of an older version, and what is to
            become of them.
    """
    files = {file.path: file for file in scan.files}
    docs, resting = _sort_out(bases, files, remotes)
    for doc in docs:
        doc.went_back = went_back.get(doc.id)
    docs.sort(key=_order)
    blocked = _hold(docs, files, Ground(scan, (), rules), rules)
    unseen = _unseen(docs, scan, rules)
    strays = match([doc for doc in docs if doc.fate is not Fate.HOLD], _by_path(files), rules)
    for doc in docs:
        if doc.fate is not Fate.HOLD:
            decide(doc, rules)
    placing = Placement(Ground(scan, strays, rules), rules, docs)
    for path in resting:
        placing.ground.keep(path)
    placing.place()
    sheet = Sheet(placing.ground, rules, new_id, device, now)
    _report([*blocked, *_report_once(unseen, placing.obstacles, rules)], sheet)
    for doc in docs:
        if doc.fate is Fate.IGNORED and doc.remote:
            sheet.ignored.append(join(doc.remote.folder, doc.remote.filename))
        draft(doc, sheet)
    sheet.create_all(strays)
    return sheet.plan()


def _sort_out(
    bases: Iterable[Base], files: dict[str, LocalFile], remotes: Iterable[RemoteDocument]
) -> tuple[list[Doc], list[str]]:
    """Documents to look at, and the paths of those at rest, whose files are taken out.

    Nearly all are at rest nearly always, so they are found first and cheaply.
    """
    there = {remote.id: remote for remote in remotes}
    docs, resting = [], []
    for base in bases:
        remote, file = there.pop(base.id, None), files.get(base.path)
        if remote and file and _rests(base, file, remote):
            del files[base.path]
            resting.append(base.path)
        else:
            docs.append(document_of(base, remote))
    docs.extend(document_of(None, remote) for remote in there.values())
    return docs, resting


def _rests(base: Base, file: LocalFile, remote: RemoteDocument) -> bool:
    return (
        base.version == remote.version
        and base.sha256 == remote.sha256 == file.sha256
        and base.folder == remote.folder
        and base.filename == remote.filename
        and base.path == (f"{base.folder}/{base.filename}" if base.folder else base.filename)
        and base.sent is None
        and not base.leaving
        and not (base.lost or base.was_ignored)
    )


def _order(doc: Doc) -> tuple[bool, int]:
    """By id, but first those that the server is known to have: they have an older right."""
    return doc.base is None or doc.base.version is None, doc.id.int


def _by_path(files: dict[str, LocalFile]) -> list[LocalFile]:
    return sorted(files.values(), key=lambda file: file.path)


def _hold(
    docs: list[Doc], files: dict[str, LocalFile], ground: Ground, rules: Rules
) -> list[Problem]:
    """Leave alone what the scan could not see, and mark what it must not look at."""
    problems = []
    for doc in docs:
        if doc.base is None or doc.base.path in files or is_interim(doc.base.path, doc.id):
            continue
        path = doc.base.path
        if ground.is_unknown(path):
            doc.fate = Fate.HOLD
        elif rules.ignored(path):
            doc.is_away = doc.was_ignored = True
        elif ground.is_skipped(path):
            doc.fate = Fate.HOLD
            problems.append(ignored_in_the_way(doc, path))
    return problems


def _unseen(docs: list[Doc], scan: Scan, rules: Rules) -> list[Problem]:
    """Name what the scan could not read, and what is no file and hides one that was in step."""
    held = {rules.key(d.base.path): d.id for d in docs if d.base and d.fate is Fate.HOLD}
    hiding = held.keys() | {folder for path in held for folder in folders_of(path)}
    problems = []
    for skipped in scan.skipped:
        key = rules.key(skipped.path)
        if skipped.kind in _UNREAD or (skipped.kind != "ignored" and key in hiding):
            detail = f"{skipped.why}{_WAYS_OUT[skipped.kind]}"
            problems.append(Problem(skipped.path, held.get(key), "unknown_place", detail))
    return problems


def _report_once(
    unseen: list[Problem], obstacles: list[Obstacle], rules: Rules
) -> Iterable[Obstacle]:
    """What could not be seen, with the documents that would go there, and all other obstacles."""
    coming = {
        rules.key(obstacle.path): obstacle
        for obstacle in obstacles
        if isinstance(obstacle, Problem) and obstacle.code == "unknown_place"
    }
    for problem in unseen:
        there = coming.get(rules.key(problem.path))
        yield replace(problem, id=there.id) if there and problem.id is None else problem
    reported = {rules.key(problem.path) for problem in unseen}
    for obstacle in obstacles:
        if rules.key(obstacle.path) not in reported or obstacle not in coming.values():
            yield obstacle


def _report(obstacles: list[Obstacle], sheet: Sheet) -> None:
    for obstacle in obstacles:
        if isinstance(obstacle, Problem):
            sheet.problems.append(obstacle)
        elif isinstance(obstacle, Pending):
            sheet.pending.append(obstacle)
        else:
            sheet.ignored.append(obstacle.path)
