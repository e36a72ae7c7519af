"""What a decision about a conflict does in the folder; the next sync carries it to the server."""

import hashlib
from pathlib import Path
from typing import Literal

from syncapi.client import durable
from syncapi.client.errors import SyncError
from syncapi.client.folder.disk import Disk, Identity, MovedOn
from syncapi.client.folder.reports import FolderConflict
from syncapi.client.folder.trash import Trash


def resolve_in_folder(
    conflict: FolderConflict, keep: Literal["mine", "theirs"], disk: Disk, trash: Trash
) -> None:
    """Have one version left, the other in the trash.

    Raises:
        SyncError: the folder is not as it was told; both versions are where they were.
    """
    try:
        copy = disk.place(conflict.copy_path)
        if Identity.at(copy) is None:
            raise SyncError(f"{conflict.copy_path} is not there any more.", hint="syncapi sync")
        was_exchanged = _was_exchanged(conflict, copy, disk.root / conflict.path)
        if was_exchanged == (keep == "mine"):
            trash.take(copy, conflict.copy_path)
        else:
            _give_name(copy, disk.make_room(conflict.path), conflict.path, trash)
    except MovedOn as error:
        raise SyncError(f"{error}.", hint="Move it away, then repeat.") from error


def _was_exchanged(conflict: FolderConflict, copy: Path, place: Path) -> bool:
    """Whether a process was killed after the files had got each other's names."""
    return (
        conflict.theirs_sha256 not in {None, conflict.mine_sha256}
        and _sha256(copy) == conflict.theirs_sha256
        and _sha256(place) == conflict.mine_sha256
    )


def _sha256(place: Path) -> str | None:
    if Identity.at(place) is None:
        return None
    with place.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _give_name(copy: Path, place: Path, path: str, trash: Trash) -> None:
    """Put the copy at its file's place, which is never empty in between.

    A crash would leave there what the next sync takes for a deletion.
    """
    before = Identity.at(place)
    if before is None:
        _move(copy, place, path)
        return
    if not durable.exchange(copy, place):
        _replace(copy, place, path, trash, before)
        return
    if Identity.at(copy) != before:
        durable.exchange(copy, place)
        raise _written_to(path)
    trash.take(copy, path)


def _replace(copy: Path, place: Path, path: str, trash: Trash, before: Identity) -> None:
    """The same where files cannot be exchanged.

    Between the look and the rename there are microseconds in which a program could still write.
    """
    trash.keep(place, path)
    if Identity.at(place) != before:
        raise _written_to(path)
    durable.replace(copy, place)


def _written_to(path: str) -> SyncError:
    return SyncError(
        f"{path} was written to just now. Nothing was replaced.",
        hint="Look at it, then repeat.",
    )


def _move(copy: Path, place: Path, path: str) -> None:
    try:
        durable.move(copy, place)
    except FileExistsError as error:
        is_file = Identity.at(place) is not None
        what = "was written to just now" if is_file else "is a folder or a link"
        raise SyncError(
            f"{path} {what}. Nothing was replaced.", hint="Look at it, then repeat."
        ) from error
