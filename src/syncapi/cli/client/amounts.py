"""How much a sync moves."""

from dataclasses import dataclass


@dataclass(slots=True)
class Amount:
    """What is to be moved, and what was."""

    files: int = 0
    size: int = 0
    files_done: int = 0
    size_done: int = 0
