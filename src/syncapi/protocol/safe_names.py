"""Names that every file system and every program that unpacks takes for one plain file's."""

import re
import unicodedata
from typing import Final

LONGEST_NAME: Final = 255
"""In bytes of UTF-8: the limit of most file systems of Linux, and within those of the others."""

_UNNAMED: Final = "document"
JOINERS: Final = "\u200c\u200d"
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


def safe_name(filename: str) -> str:
    """``filename`` as one plain file's name, as like to it as can be, in NFC."""
    composed = unicodedata.normalize("NFC", filename)
    kept = "".join(c for c in composed if c in JOINERS or unicodedata.category(c) not in _UNSAFE)
    name = unicodedata.normalize("NFC", kept.translate(_FORBIDDEN)).lstrip()
    name = _shortened(_tight(name))
    if not name.strip(JOINERS):
        return _UNNAMED
    return _shortened(f"_{name}") if _RESERVED.match(name) else name


def marked_name(name: str, mark: str) -> str:
    """The name with a mark in brackets before its extension, within `LONGEST_NAME` bytes."""
    stem, extension = _split_extension(name)
    tail = f" ({mark}){extension}"
    return cut(stem, LONGEST_NAME - len(tail.encode())) + tail


def _tight(name: str) -> str:
    return _LOOSE_END.sub("", name)


def _shortened(name: str) -> str:
    """At most `LONGEST_NAME` bytes of ``name``, its extension kept."""
    stem, extension = _split_extension(name)
    return _tight(cut(stem, LONGEST_NAME - len(extension.encode())) + extension)


def _split_extension(name: str) -> tuple[str, str]:
    """The stem and the extension, with its dot; ``.tar.gz`` is one."""
    found = _EXTENSION.search(name)
    if found is None or len(found[0].encode()) > _LONGEST_EXTENSION:
        return name, ""
    return name[: found.start()], found[0]


def cut(text: str, room: int) -> str:
    """As many whole characters of the text as fit into ``room`` bytes of UTF-8."""
    return text.encode()[:room].decode(errors="ignore")
