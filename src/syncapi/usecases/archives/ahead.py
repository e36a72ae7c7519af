"""Objects opened ahead of their turn, so that small ones do not wait for S3 one by one."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterable
from typing import Final, TypeVar

from syncapi.storage.reading import OpenObject
from syncapi.storage.s3 import ObjectStore

AHEAD: Final = 3
"""Objects that are opened while one is read; each holds a connection and what its buffer takes."""

_PATIENCE: Final = 60.0
"""Seconds that S3 may fail in the middle of an archive."""

_Item = TypeVar("_Item")
_Opening = asyncio.Task[OpenObject | None]


async def opened_in_order(
    store: ObjectStore, wanted: Iterable[tuple[_Item, str | None]]
) -> AsyncGenerator[tuple[_Item, OpenObject | None]]:
    """Each item with its object, which the caller closes; None where there is none.

    Args:
        store: that has the objects.
        wanted: items and the keys of their objects, None for those without.

    Raises:
        Unavailable: S3 fails; at once for the first one, since nothing has been sent yet.
    """
    rest = iter(wanted)
    openings: deque[tuple[_Item, _Opening | None]] = deque()
    patience = 0.0
    try:
        while True:
            while len(openings) <= AHEAD and (following := next(rest, None)) is not None:
                item, key = following
                openings.append((item, _opening(store, key, patience)))
                patience = _PATIENCE
            if not openings:
                return
            item, opening = openings[0]
            opened = None if opening is None else await opening
            openings.popleft()
            yield item, opened
    finally:
        await _close(opening for _, opening in openings if opening is not None)


def _opening(store: ObjectStore, key: str | None, patience: float) -> _Opening | None:
    return None if key is None else asyncio.create_task(store.open(key, patience=patience))


async def _close(openings: Iterable[_Opening]) -> None:
    tasks = list(openings)
    for task in tasks:
        task.cancel()
    for opened in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(opened, OpenObject):
            opened.close()
