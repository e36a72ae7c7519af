"""A decision is broken off while a sync is at work."""

import os
from itertools import count

import pytest

from fixtures.mirrors import texts, write
from simulation.device import Befalling, Device
from syncapi.client.folder.disk.exchanges import Exchange, FileNumber
from syncapi.client.folder.memory.conflicts import FolderConflicts
from syncapi.client.folder.memory.ledger import PathKeys
from syncapi.client.folder.reports import FolderConflict
from syncapi.client.store.store import Store


@pytest.mark.slow
async def test_at_any_moment_of_it_with_an_edit_on_the_server(
    laptop: Device, desktop: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sides are right after the next sync."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)  # no power is cut
    for moment in count(1):
        name = f"{moment:02}.txt"
        for text, device in (("was", laptop), ("theirs", desktop), ("mine", laptop)):
            write(device, name, f"{text} {name}")
            await laptop.sync_calmly()
            await desktop.sync_calmly()
        await laptop.sync_calmly()
        write(desktop, name, f"newer {name}")
        await desktop.sync_calmly()
        (conflict,) = (c for c in await laptop.conflicts() if c.path == name)
        acted: list[int] = []

        def act(conflict: FolderConflict = conflict, acted: list[int] = acted) -> None:
            acted.append(1)
            leave_turned(laptop, conflict)

        await laptop.sync(Befalling(act_moments=[moment], act=act))
        await laptop.sync_calmly()
        if not acted:
            return
        async with laptop.seen() as mirror:
            sides = [mirror.sides_of(c) for c in mirror.conflicts() if c.path == name]
        found = [[texts(laptop).get(path) for path in one] for one in sides]
        assert found == [[f"newer {name}", f"mine {name}"]], moment


def leave_turned(laptop: Device, conflict: FolderConflict) -> None:
    """As a process that is killed before it puts theirs into the trash."""
    copy, place = laptop.root / conflict.copy_path, laptop.root / conflict.path
    mine, theirs = FileNumber.at(copy), FileNumber.at(place)
    if mine is None or theirs is None:
        return  # it would not have come so far
    with Store.open(laptop.state) as store:
        conflicts = FolderConflicts(store, PathKeys(store), laptop.now)
        conflicts.note_exchange(conflict, Exchange(mine, theirs))
    between = laptop.root / "between"
    copy.rename(between)
    place.rename(copy)
    between.rename(place)
