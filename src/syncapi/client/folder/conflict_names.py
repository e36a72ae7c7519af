"""The names that the mirror makes up: of conflicts, of documents that share a name, of swaps."""

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import count
from typing import Final
from uuid import UUID

from syncapi.client.folder.names import join, split
from syncapi.protocol.safe_names import cut, marked_name, safe_name

_LONGEST_DEVICE: Final = 40
"""In bytes."""

_CONFLICT: Final = re.compile(
    r" \(conflict \d{4}-\d\d-\d\d .{1,80} [0-9a-f]{4}(?: \d+)?\)(?=(?:\.[^/]*)?\Z)"
)

_INTERIM: Final = re.compile(r" \(moving [0-9a-f]{12}\)")


def conflict_path(
    path: str, sha256: str, *, device: str, now: datetime, is_free: Callable[[str], bool]
) -> str:
    """Where a local edit goes: ``report (conflict 2026-11-23 laptop 3f2a).docx``.

    Args:
        path: the name that it gives up.
        sha256: of the edit; the first four digits tell two conflicts of a day apart.
        device: made safe and cut to 40 bytes.
        now: its date is named.
        is_free: whether a path can be taken; if not, a number is added.
    """
    mark = f"conflict {now:%Y-%m-%d} {cut(safe_name(device), _LONGEST_DEVICE)} {sha256[:4]}"
    numbers = (f" {number}" for number in count(2))
    return next(
        found
        for number in _first_then("", numbers)
        if is_free(found := marked(path, f"{mark}{number}"))
    )


def is_conflict_of(path: str, original: str) -> bool:
    """Whether a file was set aside for a conflict of a file of the other name.

    A copy that keeps its name in another folder was moved there.
    """
    (_, name), (_, other) = split(path), split(original)
    found = _CONFLICT.search(name)
    return found is not None and name != other and other.startswith(name[: found.start()])


def apart_paths(path: str, document: UUID) -> Iterator[str]:
    """Names for a document whose own name another one has here: ``report (3f2a1b).docx``.

    They are made of its id, so they are the same at each run.
    """
    return (marked(path, document.hex[:digits]) for digits in (6, 12, 32))


def interim_path(path: str, document: UUID) -> str:
    """Where a file is for the moment in which two change names, at the root: it is always there.

    It is a visible name: a person who finds it after a crash knows what it is, and so does the
    planner.
    """
    return marked(split(path)[1], _interim(document))


def is_any_interim(path: str) -> bool:
    """Whether a path may be where a file was left by a crash amid a change of names."""
    return "/" not in path and _INTERIM.search(path) is not None


def is_interim(path: str, document: UUID) -> bool:
    return f" ({_interim(document)})" in path


def _interim(document: UUID) -> str:
    return f"moving {document.hex[:12]}"


def marked(path: str, mark: str) -> str:
    """The path with a mark in brackets before the extension, within 255 bytes."""
    folder, name = split(path)
    return join(folder, marked_name(name, mark))


def _first_then(first: str, others: Iterator[str]) -> Iterator[str]:
    yield first
    yield from others
