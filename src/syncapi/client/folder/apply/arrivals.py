"""Downloads that have come get their names, many at a time: each time is a wait for the disk."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread

from syncapi.client import durable
from syncapi.client.folder.apply.download_writer import DownloadWriter, Fetched
from syncapi.client.folder.apply.sync_pass import SyncPass
from syncapi.client.folder.disk.birth_time import birth_ns
from syncapi.client.folder.disk.disk import MovedOn
from syncapi.client.folder.memory.intents import before_placing
from syncapi.client.folder.memory.ledger import FileIndex, Ledger
from syncapi.client.folder.model import Base, LocalFile

_TOGETHER: Final = 100

_Outcome = LocalFile | MovedOn | OSError


class Arrivals:
    """Places what was fetched, and notes it in the ledger and in the index.

    While some are written to the disk others come, and are the next to be placed (a group
    commit); once there are as many as a group takes, a download that brings more
    waits. That they are about to be placed is noted before, also of the group at once: a crash
    before the note after it costs one hash of each.
    """

    def __init__(
        self, writer: DownloadWriter, ledger: Ledger, index: FileIndex, current: SyncPass
    ) -> None:
        self._writer = writer
        self._ledger = ledger
        self._index = index
        self._round = current
        self._waiting: list[Fetched] = []
        self._work: asyncio.Task[None] | None = None

    async def add(self, fetched: Fetched) -> None:
        """Have it placed, by the task that is at it already or else by this one."""
        self._waiting.append(fetched)
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._place_all())
            await asyncio.shield(self._work)
        elif len(self._waiting) >= _TOGETHER:
            await asyncio.shield(self._work)

    async def settle(self) -> None:
        """Wait until all is placed, also if the caller was cancelled."""
        with anyio.CancelScope(shield=True):
            if self._work is not None and not self._work.done():
                await asyncio.shield(self._work)

    async def _place_all(self) -> None:
        while self._waiting:
            some, self._waiting = self._waiting[:_TOGETHER], self._waiting[_TOGETHER:]
            self._note_intents(some)
            outcomes, lasting = await anyio.to_thread.run_sync(self._place, some)
            self._note(some, outcomes, lasting)

    def _note_intents(self, some: list[Fetched]) -> None:
        """Note what is about to be placed, of the whole group at once."""
        self._ledger.put(*(i for fetched in some if (i := self._intent(fetched)) is not None))

    def _intent(self, fetched: Fetched) -> Base | None:
        """None where the part is gone: nothing will be placed."""
        entry, part = fetched.action.entry, fetched.part.part
        try:
            status = part.lstat()
        except OSError:
            return None
        coming = replace(entry, inode=status.st_ino, birth_ns=birth_ns(os.fspath(part), status))
        before = self._ledger.find(entry.id)
        return before_placing(before, coming, replaces=fetched.over is not None)

    def _place(self, some: list[Fetched]) -> tuple[list[_Outcome], set[str]]:
        """What became of each, and the paths of those whose names last."""
        outcomes: list[_Outcome] = []
        folders: dict[Path, list[str]] = {}
        for fetched in some:
            try:
                file, folder = self._writer.put(fetched)
            except (MovedOn, OSError) as error:
                outcomes.append(error)
            else:
                outcomes.append(file)
                folders.setdefault(folder, []).append(file.path)
        lasting = [paths for folder, paths in folders.items() if _lasts(folder)]
        return outcomes, {path for paths in lasting for path in paths}

    def _note(self, some: list[Fetched], outcomes: list[_Outcome], lasting: set[str]) -> None:
        """Note those whose names last, and report all.

        Those in a folder that was moved away are not noted: their names may not last, and a
        file that is noted and missing would be deleted on the server. The next scan sees to them.
        """
        pairs = list(zip(some, outcomes, strict=True))
        noted = [(f, o) for f, o in pairs if isinstance(o, LocalFile) and o.path in lasting]
        if noted:
            with self._ledger.transaction():
                for fetched, file in noted:
                    entry = fetched.action.entry
                    self._ledger.put(replace(entry, inode=file.inode, birth_ns=file.birth_ns))
                self._index.add([file for _, file in noted])
        for fetched, outcome in pairs:
            self._report(fetched, outcome)

    def _report(self, fetched: Fetched, outcome: _Outcome) -> None:
        action = fetched.action
        if isinstance(outcome, LocalFile):
            self._round.arrived(outcome)
            self._round.done(action, action.path)
        elif isinstance(outcome, MovedOn):
            self._round.postpone(action)
        else:
            self._round.failed(action, action.path, outcome)


def _lasts(folder: Path) -> bool:
    """Have the names in a folder on the disk, if it is there and the disk will."""
    try:
        durable.sync_folder(folder)
    except OSError:
        return False
    return True
