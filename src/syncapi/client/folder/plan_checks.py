"""What is asked of a plan before it is carried out."""

from collections.abc import Iterable
from dataclasses import replace

from syncapi.client.folder.actions import (
    Action,
    Create,
    Download,
    Move,
    Plan,
    SetAside,
    Trash,
    Update,
)
from syncapi.client.folder.ignore_rules import IGNORE_FILE
from syncapi.client.folder.model import LocalFile


def rules_first(planned: Plan) -> Plan:
    """Only what changes the rules of what is ignored, where a plan does so.

    The rest was planned by rules that no longer hold: it could push what must stay here, or delete
    there what is merely ignored here. The next round plans it anew.
    """
    ruling = tuple(action for action in planned.actions if _changes_rules(action))
    return replace(planned, actions=ruling) if ruling else planned


def _changes_rules(action: Action) -> bool:
    match action:
        case Move():
            return IGNORE_FILE in (action.source, action.target)
        case SetAside() | Download() | Trash():
            return action.path == IGNORE_FILE
        case _:
            return False


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
