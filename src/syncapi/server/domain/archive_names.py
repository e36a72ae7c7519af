"""Paths for the members of an archive: safe to unpack anywhere, and no two alike.

Whoever unpacks may be on Windows, macOS or Linux, and may be careless. So a path always leads to
one plain file below the folder that is unpacked into, whatever a document and its folder are
called.
"""

import unicodedata
from collections.abc import Container, Iterable, Iterator
from itertools import count

from syncapi.protocol.safe_names import JOINERS, marked_name, safe_name


def archive_paths(places: Iterable[tuple[str, str]], taken: Iterable[str] = ()) -> list[str]:
    """A path for each folder and file name, in their order: the first keeps its own if it can.

    The next of the same path becomes ``reports/q3 (2).pdf``. Paths that differ in case or Unicode
    form alone are the same: they would be on Windows and macOS. No file is like a folder, since
    it would stand in its way.

    Args:
        places: folder and file name of each document.
        taken: names in the root that nothing is like.
    """
    used = set(map(_likeness, taken))
    safe = [(_safe_folder(folder, used), safe_name(filename)) for folder, filename in places]
    used.update(_likeness(path) for folder, _ in safe for path in _with_ancestors(folder))
    numbers: dict[str, count[int]] = {}
    paths = []
    for folder, name in safe:
        numbering = numbers.setdefault(_likeness(folder + name), count(2))
        unique = name
        while _likeness(folder + unique) in used:
            unique = marked_name(name, str(next(numbering)))
        used.add(_likeness(folder + unique))
        paths.append(folder + unique)
    return paths


def _safe_folder(folder: str, taken: Container[str]) -> str:
    """``folder`` as a path that ends with a slash; empty for the root."""
    names = [safe_name(name) for name in folder.split("/") if name]
    if not names:
        return ""
    own, numbering = names[0], count(2)
    while _likeness(names[0]) in taken:
        names[0] = marked_name(own, str(next(numbering)))
    return "".join(f"{name}/" for name in names)


def _with_ancestors(folder: str) -> Iterator[str]:
    """The folder and those around it, without the last slash."""
    return (folder[:end] for end, character in enumerate(folder) if character == "/")


def _likeness(name: str) -> str:
    """What two names share that some file system takes for one (Unicode, D145)."""
    bare = name.translate({ord(joiner): None for joiner in JOINERS})
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", bare).casefold())
