"""Where the file of each document goes.

The names on the server need not be unlike, and not all can be had on a disk. Who comes first keeps
the name: a file that is there already, then one that was there last, then the lower id. Of a file
and a folder of one name the one that is there stays, else the folder.
"""

from dataclasses import dataclass, field
from uuid import UUID

from syncapi.client.folder.conflict_names import apart_paths
from syncapi.client.folder.model import LocalFile
from syncapi.client.folder.names import fault_of_local, fault_of_remote, join
from syncapi.client.folder.plan.actions import Pending, Problem
from syncapi.client.folder.plan.documents import ContentFate, Doc, Fate
from syncapi.client.folder.plan.ground import Ground
from syncapi.client.folder.rules import Rules


@dataclass(frozen=True, slots=True)
class Ignored:
    """A document whose place is ignored here."""

    path: str


Obstacle = Problem | Pending | Ignored
"""Why nothing is done to a document."""


@dataclass(slots=True)
class Placement:
    """Finds a path for each document that is kept, and holds those that can have none."""

    ground: Ground
    rules: Rules
    docs: list[Doc]
    obstacles: list[Obstacle] = field(default_factory=list)

    def place(self) -> None:
        for doc in self.docs:
            obstacle = self._obstacle_here(doc)
            if obstacle is not None:
                self._hold(doc, obstacle)
            else:
                self._stay(doc)
        while not self._try():
            pass

    def _hold(self, doc: Doc, obstacle: Obstacle) -> None:
        self.obstacles.append(obstacle)
        doc.fate = Fate.HOLD
        self._stay(doc)

    def _stay(self, doc: Doc) -> None:
        """Keep the path of a file that is not moved in any case."""
        if doc.fate is Fate.HOLD and doc.base is not None:
            self.ground.keep(doc.file.path if doc.file else doc.base.path)
        elif doc.file and (doc.fate is Fate.REVIVE or self.rules.direction == "push"):
            self.ground.keep(doc.file.path)
        elif doc.file and doc.content is ContentFate.CONFLICT:
            self.ground.keep_folders(doc.file.path)  # what is set aside stays in its folder

    def _obstacle_here(self, doc: Doc) -> Obstacle | None:
        if doc.file is None or doc.fate is Fate.HOLD:
            return None
        if doc.pushes_place or doc.fate is Fate.REVIVE:
            fault = fault_of_local(doc.file.path)
            if fault:
                return Problem(doc.file.path, doc.id, "local_name", f"{fault} Rename the file.")
        if doc.content is ContentFate.CONFLICT and self.rules.direction != "both":
            return Pending(doc.file.path, doc.id, "conflict")
        return None

    def _try(self) -> bool:
        """Give out paths; False if a file that must stay was found to be in another's way."""
        turn = _Turn(self.ground.copy(), self.rules, self.docs)
        turn.run()
        staying = [blocked for blocked in turn.blocked if blocked[0].file is not None]
        if not staying:
            self.ground = turn.ground
        for doc, obstacle in staying or turn.blocked:
            self._hold(doc, obstacle)
        return not staying


class _Turn:
    """One attempt."""

    def __init__(self, ground: Ground, rules: Rules, docs: list[Doc]) -> None:
        self.ground = ground
        self.blocked: list[tuple[Doc, Obstacle]] = []
        self._rules = rules
        self._docs = docs
        self._by_rank: dict[UUID, int] = {}

    def run(self) -> None:
        wanting = []
        for doc in self._docs:
            if doc.fate is Fate.KEEP:
                doc.path = self._plain(doc)
                if self._has_name(doc):
                    wanting.append(doc)
        wanting.sort(key=lambda doc: (self._rank(doc), doc.id))
        late = [doc for doc in wanting if not self._is_taken_by_it(doc)]
        for doc in late:
            doc.path = self._apart(doc)
            if self._rules.ignored(doc.path):
                self.blocked.append((doc, Ignored(doc.path)))
            else:
                self._claim(doc)

    def _plain(self, doc: Doc) -> str:
        """The path by its name alone, spelt as on the disk where it is there."""
        if doc.file and (doc.pushes_place or self._rules.direction == "push"):
            return doc.file.path
        path = self.ground.aligned(join(*doc.target))
        if doc.file and self._rules.ignored(path):
            return doc.file.path
        if doc.file and self._rules.spelling(doc.file.path) == self._rules.spelling(path):
            return doc.file.path
        return path

    def _has_name(self, doc: Doc) -> bool:
        obstacle = None if self._is_home(doc) else self._fault(doc)
        if obstacle is None:
            self.ground.keep_folders(doc.path)
            return True
        self.blocked.append((doc, obstacle))
        return False

    def _fault(self, doc: Doc) -> Obstacle | None:
        folder, filename = doc.target
        fault = fault_of_remote(folder, filename, windows_names=self._rules.windows_names)
        if fault:
            return Problem(join(folder, filename), doc.id, "remote_name", f"{fault} Rename it.")
        if self.ground.is_unknown(doc.path):
            text = "What is there could not be read, or is no file. Move it away."
            return Problem(doc.path, doc.id, "unknown_place", text)
        if self._rules.ignored(doc.path):
            return Ignored(doc.path)
        if self.ground.is_skipped(doc.path):
            return ignored_in_the_way(doc, doc.path)
        return None

    def _is_home(self, doc: Doc) -> bool:
        return doc.file is not None and self._rules.key(doc.file.path) == self._rules.key(doc.path)

    def _rank(self, doc: Doc) -> int:
        if self._is_home(doc) or adoptable(doc, self.ground) is not None:
            return 0
        was_there = doc.base is not None and self._rules.spelling(doc.base.path) == doc.path
        return 1 if was_there else 2

    def _is_taken_by_it(self, doc: Doc) -> bool:
        """Give a document its plain path, unless another one has it."""
        if self.ground.has_file(doc.path) and not self._stays(doc):
            return False
        self._claim(doc)
        return True

    def _stays(self, doc: Doc) -> bool:
        return doc.file is not None and self._rules.direction == "push"

    def _apart(self, doc: Doc) -> str:
        """The first of the names made of its id that is to be had; rather the one it has."""
        paths = list(apart_paths(doc.path, doc.id))
        mine = doc.file.path if doc.file else doc.base.path if doc.base else ""
        if mine in paths:
            paths.remove(mine)
            paths.insert(0, mine)
        for path in paths:
            doc.path = path
            stray = self.ground.stray(path)
            if not self.ground.has_file(path) and stray is adoptable(doc, self.ground):
                return path
        return paths[-1]

    def _claim(self, doc: Doc) -> None:
        obstacle = None if self._is_home(doc) else self._in_the_way(doc)
        if obstacle is None:
            self.ground.keep(doc.path)
        else:
            self.blocked.append((doc, obstacle))

    def _in_the_way(self, doc: Doc) -> Obstacle | None:
        file = self.ground.file_above(doc.path)
        if file is not None:
            text = f"{file} is a file, so nothing can be in a folder of that name. Rename one."
            return Problem(doc.path, doc.id, "file_in_the_way", text + _where(doc))
        if self.ground.folder_at(doc.path, self._docs):
            text = "A folder has the name of this document. Rename one of them." + _where(doc)
            return Problem(doc.path, doc.id, "folder_in_the_way", text)
        foreign = self.ground.stray(doc.path) is not adoptable(doc, self.ground)
        if foreign and self._rules.direction != "both":
            return Pending(doc.path, doc.id, "conflict")
        return None


def _where(doc: Doc) -> str:
    """A word of the document's file, if that is elsewhere: renamed here, and there otherwise."""
    return f" Its file is {doc.file.path} here." if doc.file and doc.file.path != doc.path else ""


def ignored_in_the_way(doc: Doc, path: str) -> Problem:
    """A file cannot be where a folder is, though that is left alone."""
    text = (
        f"A folder that is ignored here has the name {path}, or is above it. Rename one of them."
    )
    return Problem(path, doc.id, "folder_in_the_way", text)


def adoptable(doc: Doc, ground: Ground) -> LocalFile | None:
    """The file that is no document's and is where a document's would go, with its very bytes."""
    stray = ground.stray(doc.path)
    if stray is None or doc.file is not None or doc.remote is None:
        return None
    return stray if stray.sha256 == doc.remote.sha256 else None
