"""Which names go between the server and a disk, and which names are one to a file system.

A name that one side cannot take is reported and never mended: a mended name would come back as a
rename.
"""

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

from syncapi.protocol.filenames import LONGEST_FOLDER, filename_fault
from syncapi.protocol.safe_names import LONGEST_NAME

LONGEST_PATH: Final = 3500
"""In bytes, below the root: with the root it must fit into Linux's 4096 (PATH_MAX)."""

_DISGUISE: Final = re.compile(r"[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Marks that turn the direction of writing: ``exe.txt`` may then be ``txt.exe`` (UTR 36 §2)."""

_WINDOWS_DEVICE: Final = re.compile(
    r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)\s*(\.|\Z)", re.IGNORECASE
)
_WINDOWS_CHARACTER: Final = re.compile(r'[<>:"|?*\\]')
_LOOSE_END: Final = re.compile(r"[. ]\Z")


def join(folder: str, filename: str) -> str:
    return f"{folder}/{filename}" if folder else filename


def split(path: str) -> tuple[str, str]:
    """Folder and filename of a path."""
    folder, _, filename = path.rpartition("/")
    return folder, filename


def folders_of(path: str) -> list[str]:
    """The folders that a path lies in, from the outermost."""
    names = path.split("/")[:-1]
    return ["/".join(names[: depth + 1]) for depth in range(len(names))]


def fault_of_local(path: str) -> str | None:
    """Why the server cannot take a file's name; None if it can."""
    folder, _ = split(path)
    if len(folder) > LONGEST_FOLDER:
        return f"Its folder has {len(folder)} characters. The server takes {LONGEST_FOLDER}."
    return _first(filename_fault(name) for name in path.split("/"))


def fault_of_remote(folder: str, filename: str, *, windows_names: bool = False) -> str | None:
    """Why a document cannot have a file of its name here; None if it can.

    Whoever may write to the tenant chooses these names. One that leaves the folder (``..``, an
    absolute path) or looks like another is refused, whatever the server let pass.
    """
    if "/" in filename:
        return "Its file name has a '/' in it."
    path = join(folder, filename)
    if _size(path) > LONGEST_PATH:
        return f"Its path has {_size(path)} bytes. {LONGEST_PATH} are kept here."
    faults = _first(_fault_on_disk(name) for name in path.split("/"))
    if faults is None and windows_names:
        return _first(_fault_on_windows(name) for name in path.split("/"))
    return faults


def _first(faults: Iterable[str | None]) -> str | None:
    return next((fault for fault in faults if fault is not None), None)


def _size(name: str) -> int:
    return len(name.encode(errors="surrogatepass"))


def _fault_on_disk(name: str) -> str | None:
    if not name:
        return "A name in its path is empty, or its path is absolute."
    if _size(name) > LONGEST_NAME:
        return f"A name in its path has {_size(name)} bytes. {LONGEST_NAME} fit on the disk."
    if _DISGUISE.search(name):
        return "A mark in its name turns the direction of writing, so it looks like another."
    return filename_fault(name)


def _fault_on_windows(name: str) -> str | None:
    if _WINDOWS_DEVICE.match(name):
        return f"{name!r} is a device on Windows, not a file."
    if _WINDOWS_CHARACTER.search(name):
        return 'Windows takes none of < > : " | ? * \\ in a name.'
    return "Windows drops a dot or a space at the end." if _LOOSE_END.search(name) else None


def spelling(path: str, *, case_insensitive: bool) -> str:
    """What two paths share that are the same name, letter by letter.

    A file system that takes two Unicode forms for one may hand a name out in another form than it
    was given. That is no rename.
    """
    if not case_insensitive or path.isascii():
        return path
    return unicodedata.normalize("NFC", path)


def likeness(path: str, *, case_insensitive: bool) -> str:
    """What two paths share that are one to the file system (caseless match: Unicode, D145)."""
    if not case_insensitive:
        return path
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", path).casefold())
