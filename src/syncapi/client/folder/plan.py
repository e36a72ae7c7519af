"""The planner: from three states to what has to be done. A pure function.

The table in the documentation ("What becomes of a file") is what it does, and drives its tests.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from syncapi.client.folder.actions import Plan
from syncapi.client.folder.states import Base, Remote, Scan

Direction = Literal["both", "pull", "push"]


@dataclass(frozen=True, slots=True)
class Rules:
    """How this folder is kept.

    Attributes:
        case_insensitive: the file system takes names for one that differ in case or Unicode form.
        windows_names: it does not take the names that Windows reserves.
        ignored: whether a path is left alone on both sides.
        direction: ``pull`` pushes nothing, ``push`` changes nothing here.
    """

    case_insensitive: bool = False
    windows_names: bool = False
    ignored: Callable[[str], bool] = lambda _path: False
    direction: Direction = "both"


def plan(
    bases: Iterable[Base],
    scan: Scan,
    remotes: Iterable[Remote],
    rules: Rules,
    *,
    new_id: Callable[[], UUID],
    device: str,
    now: datetime,
) -> Plan:
    """What brings the folder and the server in step, without losing a byte of either.

    Args:
        bases: the ledger.
        scan: the folder.
        remotes: the documents that live on the server.
        rules: how this folder is kept.
        new_id: makes the id of a new document.
        device: named in the names of conflicts.
        now: its date is, too.
    """
