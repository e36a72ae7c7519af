"""Opens objects before they are read, so that small ones do not wait for S3 one by one."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterable
from typing import Final, TypeVar

from syncapi.server.storage.reading import OpenObject
from syncapi.server.storage.s3 import ObjectStore

AHEAD: Final = 3
"""How many objects are opened while one is read; each holds a connection and a buffer."""

_PATIENCE: Final = 60.0
"""How many seconds S3 may fail in the middle of an archive."""

_Item = TypeVar("_Item")
_Opening = asyncio.Task[OpenObject | None]


async def open_in_order(
    store: ObjectStore, wanted: Iterable[tuple[_Item, str | None]]
) -> AsyncGenerator[tuple[_Item, OpenObject | None]]:
    """Each item with its object, which the caller closes; None if there is no object.

    Args:
        store: the store of the objects.
        wanted: items and the keys of their objects; None for an item without one.

    Raises:
        Unavailable: S3 fails. It is raised at once for the first object, since nothing was sent
            yet.
    """
    rest = iter(wanted)
    openings: deque[tuple[_Item, _Opening | None]] = deque()
    patience = 0.0
    try:
        while True:
            while len(openings) <= AHEAD and (following := next(rest, None)) is not None:
                item, key = following
                opening = None
                if key is not None:
                    opened = store.open(key, opening=patience, reading=_PATIENCE)
                    opening = asyncio.create_task(opened)
                openings.append((item, opening))
                patience = _PATIENCE
            if not openings:
                return
            item, opening = openings[0]
            content = None if opening is None else await opening
            openings.popleft()
            yield item, content
    finally:
        # This must not await: a caller that is being cancelled may be cancelled again.
        for _, opening in openings:
            if opening is not None:
                opening.cancel()
                opening.add_done_callback(_close)


def _close(opening: _Opening) -> None:
    if opening.cancelled() or opening.exception() is not None:
        return
    opened = opening.result()
    if opened is not None:
        opened.close()
