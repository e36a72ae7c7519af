"""Paths for the members of an archive: safe to unpack anywhere, and no two alike.

Whoever unpacks may be on Windows, macOS or Linux, and may be careless. So a path always leads to
one plain file below the folder that is unpacked into, whatever a document and its folder are
called.
"""

import re
import unicodedata
from collections.abc import Container, Iterable, Iterator
from itertools import count
from typing import Final

LONGEST_NAME: Final = 255
"""In bytes of UTF-8: the limit of most file systems of Linux, and within those of the others."""

_UNNAMED: Final = "document"
_JOINERS: Final = "\u200c\u200d"
"""Invisible, but Persian, Indic scripts and emoji are spelt with them."""

_UNSAFE: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories: controls, formats (bidi overrides among them), surrogates, line breaks."""

_FORBIDDEN: Final = str.maketrans(dict.fromkeys('/\\:*?"<>|', "_"))
"""Separators of paths, and what Windows takes in no name."""

_RESERVED: Final = re.compile(
    r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)\s*(\.|\Z)", re.IGNORECASE
)
"""Devices of Windows, whatever extension they have."""

_LOOSE_END: Final = re.compile(r"[.\s]+\Z")
"""Windows drops dots and spaces there, and so would take two names for one."""

_EXTENSION: Final = re.compile(r"(?<=.)(\.tar)?\.[^.\s]+\Z", re.IGNORECASE)
_LONGEST_EXTENSION: Final = 40
"""In bytes: what is longer is no extension, and is cut like the rest of the name."""


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
            unique = _numbered(name, next(numbering))
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
        names[0] = _numbered(own, next(numbering))
    return "".join(f"{name}/" for name in names)


def _with_ancestors(folder: str) -> Iterator[str]:
    """The folder and those around it, without the last slash."""
    return (folder[:end] for end, character in enumerate(folder) if character == "/")


def safe_name(filename: str) -> str:
    """``filename`` as one plain file's name, as like to it as can be, in NFC."""
    composed = unicodedata.normalize("NFC", filename)
    kept = "".join(c for c in composed if c in _JOINERS or unicodedata.category(c) not in _UNSAFE)
    name = unicodedata.normalize("NFC", kept.translate(_FORBIDDEN)).lstrip()
    name = _shortened(_tight(name))
    if not name.strip(_JOINERS):
        return _UNNAMED
    return _shortened(f"_{name}") if _RESERVED.match(name) else name


def _numbered(name: str, number: int) -> str:
    stem, extension = _split(name)
    mark = f" ({number})"
    room = LONGEST_NAME - len((mark + extension).encode())
    return _cut(stem, room) + mark + extension


def _tight(name: str) -> str:
    return _LOOSE_END.sub("", name)


def _shortened(name: str) -> str:
    """At most `LONGEST_NAME` bytes of ``name``, its extension kept."""
    stem, extension = _split(name)
    return _tight(_cut(stem, LONGEST_NAME - len(extension.encode())) + extension)


def _split(name: str) -> tuple[str, str]:
    found = _EXTENSION.search(name)
    if found is None or len(found[0].encode()) > _LONGEST_EXTENSION:
        return name, ""
    return name[: found.start()], found[0]


def _cut(text: str, room: int) -> str:
    return text.encode()[:room].decode(errors="ignore")


def _likeness(name: str) -> str:
    """What two names share that some file system takes for one (Unicode, D145)."""
    bare = name.translate({ord(joiner): None for joiner in _JOINERS})
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", bare).casefold())
