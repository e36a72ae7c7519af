"""What is asked of a plan before it is carried out."""

from collections.abc import Iterable
from dataclasses import replace

from syncapi.client.folder.ignore_rules import IGNORE_FILE
from syncapi.client.folder.model import LocalFile
from syncapi.client.folder.plan.actions import (
    Action,
    Create,
    Download,
    Plan,
    Update,
)


def rules_first(planned: Plan) -> Plan:
    """Only what changes the rules of what is ignored, where a plan does so.

    The rest was planned by rules that no longer hold: it could push what must stay here, or delete
    there what is merely ignored here. The next round plans it anew.
    """
    ruling = tuple(
        action
        for action in planned.actions
        if action.changes == "folder" and IGNORE_FILE in (action.path, action.path_after)
    )
    return replace(planned, actions=ruling) if ruling else planned


def attempts(planned: Plan) -> set[object]:
    """Its actions, so that those of another round are known again: each makes up new ids."""
    return {(a.path, a.sha256) if isinstance(a, Create) else a for a in planned.actions}


def volume(planned: Plan, files: dict[str, LocalFile]) -> tuple[int, int]:
    """How many files are moved, and bytes."""
    sizes = list(_sizes(planned.actions, files))
    return len(sizes), sum(sizes)


def _sizes(actions: Iterable[Action], files: dict[str, LocalFile]) -> Iterable[int]:
    for action in actions:
        match action:
            case Download():
                yield action.size
            case Create() | Update(sha256=str()):
                file = files.get(action.path)
                yield file.size if file else 0
            case _:
                continue
