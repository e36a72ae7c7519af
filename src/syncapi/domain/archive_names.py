"""Names for the members of an archive: safe to unpack anywhere, and no two alike.

Whoever unpacks may be on Windows, macOS or Linux, and may be careless. So a name is always one
plain file in the folder that is unpacked into, whatever a document is called.
"""

import re
import unicodedata
from collections.abc import Iterable
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


def archive_names(filenames: Iterable[str], taken: Iterable[str] = ()) -> list[str]:
    """A name for each of ``filenames``, in their order: the first keeps its own if it can.

    The next of the same name becomes ``report (2).pdf``. Names that differ in case or Unicode
    form alone are the same: they would be on Windows and macOS. None is like one of ``taken``.
    """
    used = set(map(_likeness, taken))
    numbers: dict[str, count[int]] = {}
    names = []
    for filename in filenames:
        name = safe_name(filename)
        numbering = numbers.setdefault(_likeness(name), count(2))
        unique = name
        while _likeness(unique) in used:
            unique = _numbered(name, next(numbering))
        used.add(_likeness(unique))
        names.append(unique)
    return names


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
