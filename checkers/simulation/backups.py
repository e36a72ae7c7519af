"""Copies of a device's folder and of its state, and what people do with them later."""

import random
import shutil
from pathlib import Path

from simulation.device import Device


class Backup:
    """The newest copy of a device, beside it.

    Args:
        folder: where the copy is kept; nothing else is there.
    """

    def __init__(self, device: Device, folder: Path) -> None:
        self._device = device
        self._root = folder / "root"
        self._state = folder / "state"

    def make(self) -> str:
        """Copy the folder and the state."""
        _mirror(self._device.root, self._root)
        _mirror(self._device.state, self._state)
        return "make a backup"

    def put_back(self, rng: random.Random) -> str:
        """Put something of the copy back over the same path."""
        if not self._root.is_dir():
            return "no backup"
        what = rng.choice(("files", "folder", "disk"))
        if what == "files":
            self._note()
            _copy_over(self._root, self._device.root)
        else:
            self.put_folder_back()
        if what == "disk":
            _mirror(self._state, self._device.state)
        return f"put the backup back: {what}"

    def put_folder_back(self) -> None:
        """Have just what the copy has in the folder."""
        self._note()
        _mirror(self._root, self._device.root)

    def _note(self) -> None:
        self._device.may_have_gone_back = True
        self._device.hidden = set()  # whatever its last sync was told is not known any more


def _mirror(source: Path, target: Path) -> None:
    """Have in a folder what another one has, and nothing else. The folder stays the same one."""
    for path in target.iterdir() if target.is_dir() else ():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)


def _copy_over(source: Path, target: Path) -> None:
    """Put the files of a folder over those of another one; others stay."""
    for path in sorted(source.rglob("*")):
        place = target / path.relative_to(source)
        is_blocked = any(p.is_file() for p in place.parents)
        if path.is_file() and not is_blocked and not place.is_dir():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
