"""Media types (RFC 6838): which texts are one, and which one a file name suggests."""

import re
from mimetypes import MimeTypes
from pathlib import PurePosixPath
from typing import Final

LONGEST_MEDIA_TYPE: Final = 100
"""In characters."""

_NAME = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*"
MEDIA_TYPE_PATTERN: Final = f"^{_NAME}/{_NAME}$"

_MEDIA_TYPE = re.compile(MEDIA_TYPE_PATTERN.removesuffix("$") + r"\Z")
_UNKNOWN = "application/octet-stream"
_OFFICE = "application/vnd.openxmlformats-officedocument"
# What Python's own table lacks. The machine's table is not asked: it differs between machines.
_FURTHER = {
    ".docx": f"{_OFFICE}.wordprocessingml.document",
    ".xlsx": f"{_OFFICE}.spreadsheetml.sheet",
    ".pptx": f"{_OFFICE}.presentationml.presentation",
    ".odt": "application/vnd.oasis.opendocument.text",
    ".ods": "application/vnd.oasis.opendocument.spreadsheet",
    ".odp": "application/vnd.oasis.opendocument.presentation",
    ".epub": "application/epub+zip",
    ".gz": "application/gzip",
    ".7z": "application/x-7z-compressed",
    ".md": "text/markdown",
    ".rtf": "application/rtf",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".heic": "image/heic",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
}


def media_type_of(filename: str) -> str:
    """The media type that the extension of ``filename`` stands for."""
    extension = PurePosixPath(filename).suffix.lower()
    builtin = MimeTypes().types_map[True]
    return _FURTHER.get(extension) or builtin.get(extension, _UNKNOWN)


def media_type_fault(media_type: str) -> str | None:
    """What is wrong with ``media_type``; None if it is one, without parameters."""
    if len(media_type) <= LONGEST_MEDIA_TYPE and _MEDIA_TYPE.match(media_type):
        return None
    return (
        "It is not a media type. Write it as 'application/pdf', without parameters, in at most "
        f"{LONGEST_MEDIA_TYPE} characters."
    )
