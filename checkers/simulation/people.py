"""What people do to files while nobody is looking."""

import random
import shutil
from collections import defaultdict
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Final

from syncapi.client.folder.ignore_rules import IGNORE_FILE, read_ignores

NAMES: Final = (
    "a.txt",
    "b.txt",
    "A.txt",
    "report.docx",
    "Größe.txt",  # composed
    "Gro\u0308\u00dfe.txt",  # decomposed
    "no extension",
    ".hidden",
    "x (2).tar.gz",
    "日本語.md",
)
FOLDERS: Final = ("", "d", "d/e", "D", "other")
RULES: Final = (
    ("d/",),
    ("d/e/", "other/"),
    ("other/", "*.md"),
    ("D/", "d/", "!d/e/"),
    ("*.txt", "*.docx"),
    ("*", "!/a.txt", "!/b.txt", "!/other/", "!/other/**"),
)
"""Of what may be ignored, in the syntax of ``.syncignore``."""


class Contents:
    """Bytes that nobody else has: whatever happens to them can be followed."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._numbers = count()

    def new(self) -> bytes:
        filling = self._rng.choice((0, 0, 20, 2_000, 200_000))
        return f"content {next(self._numbers)} ".encode() + self._rng.randbytes(filling)


class Person:
    """Somebody at work in a folder.

    Args:
        where: the folder; it may be moved at any time.

    Attributes:
        has_undone: whether they ever went back to an earlier content since it was set to False.
    """

    def __init__(self, where: Callable[[], Path], rng: random.Random, contents: Contents) -> None:
        self._where = where
        self._rng = rng
        self._contents = contents
        self.has_undone = False
        self._earlier: dict[str, list[bytes]] = defaultdict(list)

    @property
    def _root(self) -> Path:
        return self._where()

    def act(self) -> str:
        """Do something; say what."""
        acts: dict[Callable[[], str], int] = {
            self.create: 5,
            self.edit: 5,
            self.append: 2,
            self.rename: 4,
            self.rename_folder: 2,
            self.delete: 2,
            self.delete_folder: 1,
            self.copy: 2,
            self.copy_folder: 1,
            self.swap: 1,
            self.save_anew: 3,
            self.become_folder: 1,
            self.rename_and_edit: 1,
            self.ignore: 2,
            self.ignore_nothing: 1,
            self.free_space: 1,
            self.undo: 2,
        }
        return self._rng.choices(list(acts), list(acts.values()))[0]()

    def create(self) -> str:
        path = self._somewhere()
        if path is None:
            return "no room"
        path.write_bytes(self._contents.new())
        return f"write {self._name(path)}"

    def edit(self) -> str:
        path = self._some_file()
        if path is None:
            return self.create()
        self._note(path)
        path.write_bytes(self._contents.new())
        return f"edit {self._name(path)}"

    def append(self) -> str:
        path = self._some_file()
        if path is None:
            return self.create()
        self._note(path)
        with path.open("ab") as stream:
            stream.write(self._contents.new())
        return f"append to {self._name(path)}"

    def save_anew(self) -> str:
        """As editors do: a new file takes the name of the old one."""
        path = self._some_file()
        if path is None:
            return self.create()
        self._note(path)
        new = path.with_name(f"{path.name}~")
        new.write_bytes(self._contents.new())
        new.replace(path)
        return f"save {self._name(path)}"

    def rename(self) -> str:
        source, target = self._some_file(), self._somewhere()
        if source is None or target is None or target == source:
            return "no rename"
        source.replace(target)
        return f"rename {self._name(source)} to {self._name(target)}"

    def rename_and_edit(self) -> str:
        source, target = self._some_file(), self._somewhere()
        if source is None or target is None or target == source:
            return "no rename"
        source.replace(target)
        target.write_bytes(self._contents.new())
        return f"rename and edit {self._name(source)}, {self._name(target)}"

    def rename_folder(self) -> str:
        folders = [p for p in self._entries() if p.is_dir()]
        target = self._root / self._rng.choice(FOLDERS[1:])
        if not folders:
            return "no folder"
        source = self._rng.choice(folders)
        if target.exists() or source in target.parents or not target.parent.is_dir():
            return "no folder"
        source.rename(target)
        return f"rename folder {self._name(source)} to {self._name(target)}"

    def delete(self) -> str:
        path = self._some_file()
        if path is None:
            return "nothing to delete"
        path.unlink()
        return f"delete {self._name(path)}"

    def delete_folder(self) -> str:
        folders = [p for p in self._entries() if p.is_dir()]
        if not folders:
            return "no folder"
        folder = self._rng.choice(folders)
        shutil.rmtree(folder)
        return f"delete folder {self._name(folder)}"

    def copy(self) -> str:
        source, target = self._some_file(), self._somewhere()
        if source is None or target is None or target == source:
            return "no copy"
        shutil.copyfile(source, target)
        return f"copy {self._name(source)} to {self._name(target)}"

    def copy_folder(self) -> str:
        folders = [p for p in self._entries() if p.is_dir()]
        target = self._root / self._rng.choice(FOLDERS[1:])
        if not folders:
            return "no folder"
        source = self._rng.choice(folders)
        if target.exists() or source in target.parents or not target.parent.is_dir():
            return "no folder"
        shutil.copytree(source, target)
        return f"copy folder {self._name(source)} to {self._name(target)}"

    def swap(self) -> str:
        one, other = self._some_file(), self._some_file()
        if one is None or other is None or one == other:
            return "no swap"
        between = one.with_name("between")
        one.rename(between)
        other.rename(one)
        between.rename(other)
        return f"swap {self._name(one)} and {self._name(other)}"

    def become_folder(self) -> str:
        """A file goes, and a folder of its name comes."""
        path = self._some_file()
        if path is None:
            return "no file"
        path.unlink()
        path.mkdir()
        (path / "inside.txt").write_bytes(self._contents.new())
        return f"folder in place of {self._name(path)}"

    def ignore(self) -> str:
        rules = self._rng.choice(RULES)
        self.has_undone = True  # they have few rules, which come again
        (self._root / IGNORE_FILE).write_text("".join(f"{line}\n" for line in rules))
        return f"ignore {' '.join(rules)}"

    def ignore_nothing(self) -> str:
        place = self._root / IGNORE_FILE
        if not place.is_file():
            return "nothing was ignored"
        if self._rng.random() < 0.5:
            place.unlink()
            return "delete the rules"
        place.write_text("# nothing\n")
        self.has_undone = True
        return "ignore nothing"

    def free_space(self) -> str:
        """Delete here what is ignored: it is kept elsewhere."""
        covers = read_ignores(self._root).covers
        ignored = [p for p in self._entries() if p.is_file() and covers(self._name(p))]
        for path in ignored:
            path.unlink()
        return f"delete {len(ignored)} files that are ignored"

    def undo(self) -> str:
        """Go back to an earlier content of a file."""
        files = [path for path in self._entries() if path.is_file()]
        undoable = [path for path in files if self._earlier[self._name(path)]]
        if not undoable:
            return "nothing to undo"
        path = self._rng.choice(undoable)
        path.write_bytes(self._earlier[self._name(path)].pop())
        self.has_undone = True
        return f"undo {self._name(path)}"

    def _note(self, path: Path) -> None:
        """Keep what is in a file, to go back to it."""
        self._earlier[self._name(path)].append(path.read_bytes())

    def _somewhere(self) -> Path | None:
        path = self._root / self._rng.choice(FOLDERS) / self._rng.choice(NAMES)
        if path.is_dir() or any(p.is_file() for p in path.parents if p != self._root):
            return None
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _some_file(self) -> Path | None:
        files = [path for path in self._entries() if path.is_file()]
        return self._rng.choice(files) if files else None

    def _entries(self) -> list[Path]:
        own = (IGNORE_FILE, ".~syncapi")
        return sorted(p for p in self._root.rglob("*") if not p.name.startswith(own))

    def _name(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()
