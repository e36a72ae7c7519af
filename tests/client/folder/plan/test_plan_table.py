"""The planner does what the documentation says, row by row."""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from uuid import UUID

import pytest

from fixtures.checkout import CHECKOUT
from fixtures.folder_model import NOW, digest
from syncapi.client.folder.model import Base, LocalFile, RemoteDocument, Scan, Sent
from syncapi.client.folder.plan.actions import Plan
from syncapi.client.folder.plan.planner import plan
from syncapi.client.folder.rules import Direction, Rules

DOCUMENTATION = CHECKOUT / "docs" / "client-folder.md"
AFTER_IGNORED, BESIDE_IGNORED = "here, after it was ignored", "here, beside what is ignored"
FIRST_HEADINGS = ("here", "unanswered, and here since", AFTER_IGNORED, BESIDE_IGNORED)
DOCUMENT, NEW = UUID(int=1), UUID(int=2)
VERSION = NOW


@dataclass(frozen=True)
class Row:
    table: str
    here: str
    there: str
    outcome: dict[Direction, str] = field(hash=False)


def rows() -> list[Row]:
    read = []
    headed = ""
    for line in DOCUMENTATION.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            headed = ""
        elif cells[0] in FIRST_HEADINGS:
            headed = cells[0]
        elif headed and not cells[0].startswith("---"):
            here, there, both, pull, push = cells
            read.append(Row(headed, here, there, {"both": both, "pull": pull, "push": push}))
    return read


def local(path: str = "d/report.txt", content: str = "old", inode: int = 1) -> LocalFile:
    return LocalFile(path, len(content), digest(content), None, inode, 0)


def remote(
    name: str = "report.txt", content: str = "old", *, later: int = 1, folder: str = "d"
) -> RemoteDocument:
    version = VERSION + timedelta(seconds=later)
    return RemoteDocument(
        DOCUMENT, folder, name, digest(content), len(content), version, "text/plain"
    )


BASE = Base(DOCUMENT, "d/report.txt", VERSION, digest("old"), "d", "report.txt", inode=1)
SENT = Sent("d/report.txt", digest("mine"), "d", "report.txt")
OF_RESTORED = {"older", "edited since", "lost"}

HERE: dict[str, LocalFile | None] = {
    "": None,
    "as it was": local(),
    "edited": local(content="mine"),
    "edited back": local(content="before"),
    "renamed": local("d/mine.txt"),
    "renamed and edited": local("e/report.txt", "mine"),
    "deleted": None,
    "new": local(content="mine"),
    "ignored": None,
    "moved to an ignored place": None,
    "moved to a visible place": local("d/moved.txt"),
    "create": local(content="mine"),
    "create, edited": local(content="mine again"),
    "create, deleted": None,
    "update": local(content="mine"),
    "update, edited": local(content="mine again"),
    "update, deleted": None,
}
THERE: dict[str, RemoteDocument | None] = {
    "": None,
    "as it was": remote(later=0),
    "edited": remote(content="theirs"),
    "edited alike": remote(content="mine"),
    "renamed": remote("theirs.txt"),
    "renamed alike": remote("mine.txt"),
    "renamed and edited": remote("theirs.txt", "theirs"),
    "deleted": None,
    "moved to an ignored place": remote(folder="hidden"),
    "moved to an ignored place and edited": remote(content="theirs", folder="hidden"),
    "moved to a visible place": remote("theirs.txt"),
    "new": remote(content="theirs"),
    "new alike": remote(content="mine"),
    "older": remote(content="before", later=-1),
    "edited since": remote(content="theirs"),
    "lost": None,
    "arrived": remote(content="mine"),
    "arrived, edited since": remote(content="theirs", later=2),
    "not arrived": None,
}


def base_of(row: Row, *, restored: bool) -> Base | None:
    if row.here in ("", "new"):
        return None
    if row.here.startswith("create"):
        return replace(BASE, version=None, sha256=digest("mine"), sent=SENT)
    if row.here.startswith("update"):
        return replace(BASE, sent=SENT)
    if is_away(row):
        return replace(BASE, path="hidden/report.txt", folder="hidden", was_ignored=True)
    return replace(BASE, lost=restored, was_ignored=row.table == AFTER_IGNORED)


def is_away(row: Row) -> bool:
    """Whether the document's path is ignored."""
    return row.here in ("ignored", "moved to a visible place")


def planned(row: Row, direction: Direction, *, restored: bool) -> Plan:
    base, file, there = base_of(row, restored=restored), HERE[row.here], THERE[row.there]
    if row.here.startswith("update") and row.there == "not arrived":
        there = remote(later=0)
    if is_away(row) and there and not row.there.startswith("moved"):
        there = replace(there, folder="hidden")
    return plan(
        [base] if base else [],
        Scan((file,) if file else (), ("d", "e")),
        [there] if there else [],
        Rules(direction=direction, ignored=lambda path: path.startswith("hidden/")),
        new_id=lambda: NEW,
        device="laptop",
        now=NOW,
    )


def told(planned: Plan) -> str:
    deeds = [action.name.title().replace("_", "") for action in planned.actions]
    return ", ".join((*deeds, *sorted(f"({pending.kind})" for pending in planned.pending)))


def is_of_restored(rows: list[Row], number: int) -> bool:
    """The rows of the second table."""
    kinds = [row.there in OF_RESTORED for row in rows]
    first, last = kinds.index(True), len(kinds) - 1 - kinds[::-1].index(True)
    return first <= number <= last


@pytest.mark.parametrize("direction", ["both", "pull", "push"])
@pytest.mark.parametrize("number", range(len(rows())))
def test_a_row_of_the_table(number: int, direction: Direction) -> None:
    row = rows()[number]
    restored = is_of_restored(rows(), number)
    assert told(planned(row, direction, restored=restored)) == row.outcome[direction]


def test_the_table_has_every_pair() -> None:
    pairs = {(row.here, row.there) for row in rows()}
    ours = ("as it was", "edited", "renamed", "renamed and edited", "deleted")
    theirs = ("as it was", "edited", "renamed", "renamed and edited", "deleted")
    assert {(here, there) for here in ours for there in theirs} <= pairs
    restored = {(here, there) for here in (*ours, "edited back") for there in OF_RESTORED}
    assert restored <= pairs
