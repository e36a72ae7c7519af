"""What was taken out of the folder, kept for a while.

Nothing local is deleted or overwritten for good at once: it goes to a folder beside the local
state, a day a subfolder (or several), under the path it had.
"""

import errno
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from syncapi.client import durable


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
        keep: how long a file stays at least.
    """

    def __init__(self, folder: Path, *, keep: timedelta = timedelta(days=30)) -> None:
        self._folder = folder
        self._keep = keep

    def take(self, source: Path, path: str) -> Path:
        """Move a file here; return where it is now.

        Raises:
            OSError: it could not be moved; it is where it was.
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
                if place.is_file():
                    yield Trashed(day, place.relative_to(folder).as_posix(), place)

    def expire(self) -> int:
        """Delete for good what is older than the time to keep; return how many days' folders."""
        oldest = datetime.now(UTC).date() - self._keep
        old = [folder for day, folder in self._days() if day < oldest]
        for folder in old:
            shutil.rmtree(folder)
        return len(old)

    def _placed(self, source: Path, path: str, act: Callable[[Path, Path], None]) -> Path:
        """Act with the first place that is free: another folder of the day where one is taken.

        It may be taken by the same path of earlier, by a file where a folder is needed, or by a
        folder where a file is.
        """
        today = datetime.now(UTC).date().isoformat()
        number = 1
        while True:
            place = self._folder / (today if number == 1 else f"{today}.{number}") / path
            try:
                place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                act(source, place)
            except (FileExistsError, NotADirectoryError):
                number += 1
            else:
                return place

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


def _move_across(source: Path, target: Path) -> None:
    """Move to another file system: the copy is whole and durable before the original goes."""
    before = source.stat()
    _copy(source, target)
    after = source.stat()
    if (after.st_mtime_ns, after.st_size) != (before.st_mtime_ns, before.st_size):
        durable.remove(target)
        raise OSError(errno.EBUSY, "it was written to while it was copied", str(source))
    durable.remove(source)


def _copy(source: Path, target: Path) -> None:
    """Copy a file with its times to a name that nothing has, whole or not at all."""
    temporary = target.with_name(f".{target.name}.new")
    shutil.copy2(source, temporary)
    with temporary.open("rb") as stream:
        durable.sync_file(stream.fileno())
    durable.move(temporary, target)
