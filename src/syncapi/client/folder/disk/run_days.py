"""On which days a folder was synced, in the order in which they came.

A clock may be wrong for a while: years ahead after an empty battery, or set by hand. What is old
is therefore judged by the clock and by counting together. A jump is one more day at most.
"""

from contextlib import suppress
from datetime import date, timedelta
from itertools import takewhile
from pathlib import Path
from typing import Final

from syncapi.client import durable

_FILE: Final = "days"


class RunDays:
    """The days, kept in a file of a folder: a line each, the last one that was new at the end.

    Args:
        folder: made when it is needed.
        keep: after how long something is old. So many days are remembered.
    """

    def __init__(self, folder: Path, *, keep: timedelta) -> None:
        self._place = folder / _FILE
        self._keep = keep
        self._days = self._read()

    def add(self, *days: date) -> None:
        """Note that there were runs on some days, by the clock, unless it is known."""
        new = [day for day in dict.fromkeys(days) if day not in self._days]
        if new:
            self._days = [*self._days, *new][-self._keep.days - 1 :]
            self._place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            durable.write_text(self._place, "".join(f"{day.isoformat()}\n" for day in self._days))

    def is_old(self, day: date, today: date) -> bool:
        """Whether what was put away on a day may go.

        It may if the clock says so, or can only be wrong, and there were runs on as many other
        days since as the clock should have counted.
        """
        is_past = not today - self._keep <= day <= today
        since = len(list(takewhile(lambda other: other != day, reversed(self._days))))
        return is_past and since >= self._keep.days

    def _read(self) -> list[date]:
        days: list[date] = []
        with suppress(FileNotFoundError):
            for line in self._place.read_text(encoding="utf-8").splitlines():
                with suppress(ValueError):
                    days.append(date.fromisoformat(line))
        return days
