"""The sheet on which a plan is written."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from syncapi.client.folder.conflict_names import conflict_path
from syncapi.client.folder.model import Base, LocalFile
from syncapi.client.folder.names import fault_of_local, split
from syncapi.client.folder.plan.actions import (
    Action,
    Create,
    Move,
    Pending,
    Plan,
    Problem,
    SetAside,
    Settled,
    in_turn,
)
from syncapi.client.folder.plan.ground import Ground
from syncapi.client.folder.plan.ordering import ordered
from syncapi.client.folder.rules import Rules


@dataclass(slots=True)
class Sheet:
    """Collects actions and what is to be reported; makes up ids and names."""

    ground: Ground
    rules: Rules
    new_id: Callable[[], UUID]
    device: str
    now: datetime
    actions: list[Action] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    moved: dict[UUID, Base] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    settled: list[Settled] = field(default_factory=list)
    pending: list[Pending] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    spoken_for: set[str] = field(default_factory=set)
    """Files of no document that an action takes care of: no document is made of them."""

    def set_aside(self, file: LocalFile, entry: Base | None) -> None:
        """Give a file the name of a conflict, under which it is pushed too."""
        to = conflict_path(
            file.path, file.sha256, device=self.device, now=self.now, is_free=self.ground.is_free
        )
        self.ground.keep(to)
        owner = entry.id if entry else None
        self.actions.append(SetAside(file.path, to, file.sha256, owner, entry))
        text = f"Both sides had a file for the name. The local one is now {split(to)[1]}."
        self.settled.append(Settled(file.path, owner, "both_kept", text))
        self.spoken_for.add(file.path)
        if not self.rules.ignored(to):
            self.create(to, file)

    def create(self, path: str, file: LocalFile) -> None:
        """Push a file as a new document."""
        if self.rules.direction == "pull":
            self.pending.append(Pending(path, None, "create"))
            return
        fault = fault_of_local(path)
        if fault is not None:
            self.problems.append(Problem(path, None, "local_name", f"{fault} Rename the file."))
            return
        folder, name = split(self.rules.spelling(path))
        document = self.new_id()
        entry = Base(document, path, None, file.sha256, folder, name, file.inode, file.birth_ns)
        self.actions.append(
            Create(document, path, file.sha256, folder, name, revives=False, entry=entry)
        )

    def create_all(self, strays: Iterable[LocalFile]) -> None:
        contested = {self.rules.key(p.path) for p in self.pending if p.kind == "conflict"}
        for file in sorted(strays, key=lambda file: file.path):
            if self.rules.ignored(file.path):
                continue  # only its name, which a crash had left, was looked at
            if file.path not in self.spoken_for and self.rules.key(file.path) not in contested:
                self.create(file.path, file)

    def plan(self) -> Plan:
        actions: list[Action] = sorted(self.actions, key=_order)
        actions += ordered(self.moves, self.rules, self.moved)
        return Plan(
            in_turn(actions),
            tuple(sorted(self.problems, key=_place)),
            tuple(sorted(self.settled, key=_place)),
            tuple(sorted(self.pending, key=_place)),
            tuple(sorted(self.ignored)),
        )


def _order(action: Action) -> tuple[str, int]:
    return action.path_after, action.id.int if action.id else 0


def _place(reported: Problem | Settled | Pending) -> tuple[str, int]:
    return reported.path, reported.id.int if reported.id else 0
