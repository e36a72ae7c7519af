"""A bounded map whose entries end at a time of their own."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class ExpiringCache(Generic[Key, Value]):
    """Keeps the entries used last, each until its own end.

    It has no clock: the caller says what time it is, in the unit and the epoch of its choice.
    """

    def __init__(self, size: int) -> None:
        """Keep at most ``size`` entries."""
        self._size = size
        self._entries: OrderedDict[Key, tuple[float, Value]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Key, now: float) -> Value | None:
        """The entry, or None where there is none that lasts beyond ``now``."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry[0] <= now:
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return entry[1]

    def put(self, key: Key, value: Value, until: float) -> None:
        """Keep ``value`` until the time ``until``, or until ``size`` others were used since."""
        self._entries[key] = (until, value)
        self._entries.move_to_end(key)
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)

    def drop_where(self, matches: Callable[[Key], bool]) -> None:
        """Forget every entry whose key ``matches``; looks at each of them."""
        for key in [key for key in self._entries if matches(key)]:
            del self._entries[key]

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
