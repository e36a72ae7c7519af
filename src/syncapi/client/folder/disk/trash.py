"""What was taken out of the folder, kept for a while.

Nothing local is deleted or overwritten for good at once: it goes to a folder beside the local
state, a day a subfolder (or several), under the path it had.
"""

import errno
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

from syncapi.client import durable
from syncapi.client.folder.disk.run_days import RunDays
from syncapi.client.folder.ignore_rules import OWN_PREFIX, is_part_file
from syncapi.client.transfer.sinks import PART_PREFIX

_PLACES: Final = 10_000
"""Of one path on one day; a file that is replaced every minute needs 1440."""

_LONGEST: Final = 200
"""In bytes, of a name within another; a file system takes names of 255."""


@dataclass(frozen=True, slots=True)
class Trashed:
    """A file in the trash.

    Attributes:
        path: what it was called in the folder.
        place: where it is now.
    """

    day: date
    path: str
    place: Path


class Trash:
    """Files taken out of a folder.

    Args:
        folder: made when it is needed.
        keep: how long a file stays at least: by the clock, and in days on which there was a sync.
    """

    def __init__(self, folder: Path, *, keep: timedelta = timedelta(days=30)) -> None:
        self._folder = folder
        self._keep = keep

    def take(self, source: Path, path: str) -> Path:
        """Move a file here; return where it is now.

        Raises:
            OSError: it could not be moved; it is where it was, or, if something has that name by
                now, beside it (see `_aside`).
        """
        return self._placed(source, path, _move)

    def keep(self, source: Path, path: str) -> Path:
        """Keep a copy of a file that is about to be replaced; return where it is.

        Raises:
            OSError: it could not be copied.
        """
        return self._placed(source, path, _copy)

    def put_back(self, place: Path, target: Path) -> None:
        """Undo `take`.

        Raises:
            FileExistsError: something has the name by now; the file stays in the trash.
        """
        _move(place, target)

    def files(self) -> Iterator[Trashed]:
        """All that is here, the latest day first."""
        for day, folder in sorted(self._days(), key=lambda found: found[0], reverse=True):
            for place in sorted(folder.rglob("*")):
                if place.is_file() and not is_part_file(place.name):
                    yield Trashed(day, place.relative_to(folder).as_posix(), place)

    def expire(self) -> int:
        """Delete for good what is older than the time to keep; return how many days' folders.

        The clock alone does not show what is old: see `RunDays`. What cannot be deleted stays, and
        is tried again by the next sync: no sync fails of it.
        """
        if not self._folder.is_dir():
            return 0
        today = datetime.now(UTC).date()
        days = RunDays(self._folder, keep=self._keep)
        with suppress(OSError):
            days.add(*sorted(day for day, _ in self._days()), today)
        deleted = 0
        for folder in [folder for day, folder in self._days() if days.is_old(day, today)]:
            with suppress(OSError):
                shutil.rmtree(folder)
                deleted += 1
        return deleted

    def _placed(self, source: Path, path: str, act: Callable[[Path, Path], None]) -> Path:
        """Act with the first place that is free: another folder of the day where one is taken.

        It may be taken by the same path of earlier, by a file where a folder is needed, or by a
        folder where a file is. The same errors of the source are no reason to look for another.
        """
        today = datetime.now(UTC).date().isoformat()
        for number in range(1, _PLACES + 1):
            place = self._folder / (today if number == 1 else f"{today}.{number}") / path
            try:
                durable.make_folder(place.parent)
                act(source, place)
            except (FileExistsError, NotADirectoryError):
                if not _is_taken(place) or not os.path.lexists(source):
                    raise
            else:
                return place
        raise OSError(errno.EEXIST, "the trash has no place for it", str(source))

    def _days(self) -> Iterator[tuple[date, Path]]:
        if not self._folder.is_dir():
            return
        for folder in self._folder.iterdir():
            try:
                yield date.fromisoformat(folder.name.partition(".")[0]), folder
            except ValueError:
                continue  # not ours


def _move(source: Path, target: Path) -> None:
    try:
        durable.move(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _move_across(source, target)


def _is_taken(place: Path) -> bool:
    """Whether something has a place, or is no folder on the way to it."""
    return os.path.lexists(place) or not place.parent.is_dir()


def _move_across(source: Path, target: Path) -> None:
    """Move to another file system: the copy is whole and durable before the original goes.

    The original first gets a name that no program knows. An editor that saves by a rename
    meanwhile leaves its new file under the old name, where it is not what is removed in the end.
    """
    before = _stamp(source)
    aside = _aside(source)
    durable.move(source, aside)
    try:
        _copy_unchanged(aside, target, before)
    except BaseException:
        with suppress(FileExistsError):  # a new one was saved: both stay
            durable.move(aside, source)
        raise
    durable.remove(aside)


def _aside(source: Path) -> Path:
    """A free name beside a file, for as long as it is copied.

    A crash may leave the file there. So it must be a name that the scan leaves alone, as an
    ordinary one would be pushed as a new document, and that nothing cleans up, as it does parts:
    there may be no other copy. `Mirror.ignored` lists it.
    """
    name = source.name.encode(errors="ignore")[:_LONGEST].decode(errors="ignore")
    return source.with_name(f"{OWN_PREFIX}-{secrets.token_hex(8)}-{name}")


def _copy_unchanged(source: Path, target: Path, before: tuple[int, int, int]) -> None:
    """Copy a file that is as it was before, and stays so."""
    _expect(source, before)
    _copy(source, target)
    try:
        _expect(source, before)
    except OSError:
        durable.remove(target)
        raise


def _expect(path: Path, stamp: tuple[int, int, int]) -> None:
    if _stamp(path) != stamp:
        raise OSError(errno.EBUSY, "it was written to while it was copied", str(path))


def _stamp(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ino


def _copy(source: Path, target: Path) -> None:
    """Copy a file with its times to a name that nothing has, whole or not at all.

    Until it is whole it has the name of a part: short, no other file's, and cleaned up after a
    crash where it is put back into the folder.
    """
    temporary = target.with_name(f"{PART_PREFIX}{secrets.token_hex(8)}")
    try:
        shutil.copy2(source, temporary)
        with temporary.open("rb") as stream:
            durable.sync_file(stream.fileno())
        durable.move(temporary, target)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
