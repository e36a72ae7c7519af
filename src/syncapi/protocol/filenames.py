"""What may be the name of a document, and of the folder it stands in."""

import re
from typing import Final

LONGEST_FILENAME: Final = 255
"""In characters."""

LONGEST_FOLDER: Final = 1000
"""In characters, the separators included."""

_BAD = r"\x00-\x1f\x7f-\x9f/\\\u2028\u2029"
FILENAME_PATTERN: Final = rf"^(?:\.{{0,2}}[^.{_BAD}][^{_BAD}]*|\.{{3}}[^{_BAD}]*)$"
"""No control characters, no line breaks, no separators of paths; neither ``.`` nor ``..``.

Written without look-ahead, which neither Pydantic's engine nor all readers of OpenAPI have.
"""

_PART = (
    rf"(?:[^.{_BAD}][^{_BAD}]{{0,254}}|\.[^.{_BAD}][^{_BAD}]{{0,253}}"
    rf"|\.\.[^.{_BAD}][^{_BAD}]{{0,252}}|\.{{3}}[^{_BAD}]{{0,252}})"
)
FOLDER_PATTERN: Final = rf"^(?:{_PART}(?:/{_PART})*)?$"
"""Empty for the root, else names from the outermost folder to the innermost, each fit to be a file
name. That none is longer than one stands here, since no ``maxLength`` can say it.
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


def folder_fault(folder: str) -> str | None:
    """What is wrong with ``folder``; None if it can be kept."""
    if len(folder) > LONGEST_FOLDER:
        return f"It has {len(folder)} characters. At most {LONGEST_FOLDER} are kept."
    faults = (_segment_fault(segment) for segment in folder.split("/") if folder)
    return next((fault for fault in faults if fault is not None), None)


def _segment_fault(segment: str) -> str | None:
    if not segment:
        return (
            "It begins or ends with '/', or has two of them in a row. Write it like "
            "'reports/2026', and leave it empty for the root."
        )
    if len(segment) > LONGEST_FILENAME:
        return (
            f"One folder in it has {len(segment)} characters. At most {LONGEST_FILENAME} may be."
        )
    if filename_fault(segment) is None:
        return None
    return (
        f"{segment!r} is not the name of a folder. Separate folders by '/', leave out control "
        "characters, line breaks and '\\'; '.' and '..' are no names."
    )


def last_component(path: str) -> str:
    """The name alone, where a program sent the path of the file it read."""
    return re.split(r"[/\\]", path)[-1]
