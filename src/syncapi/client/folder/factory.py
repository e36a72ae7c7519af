"""A mirror put together: the folder, its state, and a client."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from syncapi.client.api.client import Client
from syncapi.client.folder.disk.trash import Trash
from syncapi.client.folder.mirror import Mirror
from syncapi.client.folder.observe.observer import MirrorOptions
from syncapi.client.folder.reports import Progress
from syncapi.client.store.keys import Key
from syncapi.client.store.store import Store


@asynccontextmanager
async def open_mirror(
    root: Path,
    state: Path,
    client: Client,
    options: MirrorOptions,
    *,
    key: Key | None = None,
    progress: Progress | None = None,
) -> AsyncIterator[Mirror]:
    """Open the mirror of a folder.

    Args:
        root: the folder; it need not be there, but then a sync stops.
        state: what is remembered of it, made if need be: the store, and the trash.
        client: of the tenant.
        options: how it is kept in step.
        key: of the store, if it is encrypted.
        progress: receives how a sync goes on.

    Raises:
        StoreError: the state cannot be used, or another process uses it.
    """
    with Store.open(state, key=key) as store:
        mirror = Mirror(root, client, store, Trash(state / "trash"), options, progress)
        with mirror.exclusively():
            yield mirror
