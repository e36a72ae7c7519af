"""Where a device's folder is, as far as the command line knows: folders are moved and copied."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from unittest import mock
from uuid import uuid4

from simulation.device import Device
from syncapi.cli.client.identities import Identity
from syncapi.cli.client.registry import Folder, folder_of, folders, mark, relocate
from syncapi.cli.exit_codes import CommandFailed


class Whereabouts:
    """Moves the folder of a device about, and has the command line look for it.

    Args:
        folder: where the device's folder is, and its copies are.

    Attributes:
        can_tell: whether the file system lets a folder carry its id.
    """

    def __init__(self, device: Device, folder: Path) -> None:
        self._device = device
        self._config = folder / f"{device.name}.config"
        self._copy = folder / f"{device.name}.copy"
        self._away = folder / f"{device.name}.away"
        self._homes = [device.root, folder / f"{device.name}.moved"]
        made = _initialised(device)
        self.can_tell = made.is_marked
        with self._configured(), folders().change() as known:
            known.folders.append(made)

    def find(self, place: Path) -> Path | None:
        """Which folder is synced by ``syncapi sync PLACE``; None if it refuses to."""
        with self._configured():
            try:
                return folder_of(place)[0].path
            except CommandFailed:
                return None

    def move(self) -> None:
        """Rename the folder."""
        (other,) = [home for home in self._homes if home != self._device.root]
        self._device.root.rename(other)
        self._device.root = other

    def copy(self) -> Path:
        """Copy the folder, attributes and all; an earlier copy goes."""
        shutil.rmtree(self._copy, ignore_errors=True)
        shutil.copytree(self._device.root, self._copy)
        return self._copy

    def put_copy_in_place(self) -> bool:
        """Put the folder away and have the copy under its name; False if there is no copy."""
        if not self._copy.is_dir():
            return False
        self._device.root.rename(self._away)
        self._copy.rename(self._device.root)
        return True

    def undo(self) -> None:
        """Have the folder back in its place, and the copy where it was."""
        self._device.root.rename(self._copy)
        self._away.rename(self._device.root)

    def adopt(self) -> None:
        """Say that what is at the folder's place is the folder, as ``init --moved-from`` does."""
        shutil.rmtree(self._away)
        root = self._device.root
        with self._configured():
            (known,) = folders().read().folders
            relocate(known, root, Identity.of(root))

    @contextmanager
    def _configured(self) -> Iterator[None]:
        with mock.patch.dict(os.environ, {"SYNCAPI_CONFIG_DIR": str(self._config)}):
            yield


def _initialised(device: Device) -> Folder:
    folder_id = uuid4().hex
    return Folder(
        id=folder_id,
        path=device.root,
        account="default",
        device=device.name,
        is_marked=mark(device.root, folder_id),
        identity=Identity.of(device.root),
        created_at=datetime.now(UTC),
    )
