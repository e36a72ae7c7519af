"""How a folder is kept."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from syncapi.client.folder.names import likeness, spelling

Direction = Literal["both", "pull", "push"]


def _nothing(_path: str) -> bool:
    return False


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
    ignored: Callable[[str], bool] = _nothing
    direction: Direction = "both"

    def spelling(self, path: str) -> str:
        """What two paths share that are the same name, letter by letter."""
        return spelling(path, case_insensitive=self.case_insensitive)

    def key(self, path: str) -> str:
        """What two paths share that cannot both be on this file system."""
        return likeness(path, case_insensitive=self.case_insensitive)
