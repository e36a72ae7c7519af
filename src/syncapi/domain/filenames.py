"""What may be the name of a document."""

import re
from typing import Final

from syncapi.domain.errors import InvalidInput

LONGEST_FILENAME: Final = 255
"""In characters."""

_BAD = r"\x00-\x1f\x7f-\x9f/\\\u2028\u2029"
FILENAME_PATTERN: Final = rf"^(?:\.{{0,2}}[^.{_BAD}][^{_BAD}]*|\.{{3}}[^{_BAD}]*)$"
"""No control characters, no line breaks, no separators of paths; neither ``.`` nor ``..``.

Written without look-ahead, which neither Pydantic's engine nor all readers of OpenAPI have.
"""

_FILENAME = re.compile(FILENAME_PATTERN.removesuffix("$") + r"\Z")
_SURROGATE = re.compile(r"[\ud800-\udfff]")  # no character: UTF-8 cannot carry it (RFC 3629 §3)


_RULE: Final = (
    "It is not a file name. Leave out control characters, line breaks and the separators of "
    "paths, '/' and '\\'; '.' and '..' are no names."
)


def filename_fault(name: str) -> str | None:
    """What is wrong with ``name``; None if it can be kept, in the sender's own Unicode form."""
    if len(name) > LONGEST_FILENAME:
        return f"It has {len(name)} characters. At most {LONGEST_FILENAME} are kept."
    return None if _FILENAME.match(name) and not _SURROGATE.search(name) else _RULE


def checked_filename(name: str, field: str) -> str:
    """Return ``name`` as it is.

    Raises:
        InvalidInput: names ``field`` and says what is wrong.
    """
    fault = filename_fault(name)
    if fault is not None:
        raise InvalidInput.of(field, fault)
    return name


def last_component(path: str) -> str:
    """The name alone, where a program sent the path of the file it read."""
    return re.split(r"[/\\]", path)[-1]
