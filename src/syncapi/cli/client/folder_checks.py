"""Checks of a folder that need no server: disk space, permission to write, local state."""

import os
import shutil
from pathlib import Path

from syncapi.cli.client.console import format_size
from syncapi.cli.client.findings import Finding, Level
from syncapi.cli.client.keys import key_of
from syncapi.cli.client.registry import Folder
from syncapi.cli.exit_codes import CommandFailed
from syncapi.client.errors import StoreError
from syncapi.client.store.store import Store

_LITTLE = 1 << 30
_TOO_LITTLE = 100 << 20
"""Bytes free on a disk."""


def look_here(folder: Folder) -> list[Finding]:
    """Look at a folder and its state."""
    findings = [_writing(folder), _space("disk of the folder", folder.path)]
    if _device(folder.state) != _device(folder.path):
        findings.append(_space("disk of the state", folder.state))
    return [*findings, _store(folder)]


def _device(path: Path) -> int | None:
    return path.stat().st_dev if path.exists() else None


def _writing(folder: Folder) -> Finding:
    if os.access(folder.path, os.R_OK | os.W_OK | os.X_OK):
        return Finding.ok("writing", "the folder can be written to")
    said = f"{folder.path} cannot be written to"
    return Finding(Level.FAIL, "writing", said, f"chmod u+rwx {folder.path}")


def _space(what: str, path: Path) -> Finding:
    free = shutil.disk_usage(path).free
    said = f"{format_size(free)} free"
    if free < _TOO_LITTLE:
        return Finding(Level.FAIL, what, said, "make room on this disk")
    if free < _LITTLE:
        return Finding.warning(
            what, said, "make room: files are fetched before others are replaced"
        )
    return Finding.ok(what, said)


def _store(folder: Folder) -> Finding:
    try:
        with Store.open(folder.state, key=key_of(folder)) as store:
            faults = store.check()
    except (StoreError, CommandFailed, OSError) as error:
        return Finding.of_failure("local state", error)
    if faults:
        hint = f"syncapi forget {folder.path}, then syncapi init {folder.path}: no file is lost"
        return Finding(Level.FAIL, "local state", "; ".join(faults), hint)
    how = "not encrypted" if folder.encryption == "no" else f"encrypted, key: {folder.encryption}"
    return Finding.ok("local state", f"healthy ({how})")
