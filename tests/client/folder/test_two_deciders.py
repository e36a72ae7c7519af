"""Two processes settle one conflict at the same moment."""

import asyncio
import multiprocessing
from collections.abc import Sequence
from pathlib import Path
from random import Random
from threading import Barrier

import pytest

from fixtures.mirrors import texts, write
from simulation.device import NOTHING, Decision, Device
from simulation.runs import Place

CONFLICTS = 16


def decide_all(
    place: Place, folder: Path, copies: Sequence[str], keep: Decision, meeting: Barrier
) -> list[str]:
    """In a process of its own: decide each as soon as the other one is at it, too."""

    async def decide() -> list[str]:
        said = []
        for copy in copies:
            meeting.wait(60)
            said.append(await device.decide(copy, keep, NOTHING))
        return said

    device = Device("laptop", folder, place.url, place.tenant_id, place.token, Random(keep))
    return asyncio.run(decide())


@pytest.mark.parametrize("keeps", [("mine", "theirs"), ("mine", "both"), ("theirs", "both")])
async def test_one_of_them_decides(
    keeps: tuple[Decision, Decision], place: Place, laptop: Device, desktop: Device
) -> None:
    names = [f"{number:02}.txt" for number in range(CONFLICTS)]
    for text, device in (("was", laptop), ("theirs", desktop), ("mine", laptop)):
        for name in names:
            write(device, name, f"{text} {name}")
        await laptop.sync_calmly()
        await desktop.sync_calmly()
    await laptop.sync_calmly()
    copies = {c.path: c.copy_path for c in await laptop.conflicts()}
    assert len(copies) == CONFLICTS

    spawn = multiprocessing.get_context("spawn")
    with spawn.Manager() as manager, spawn.Pool(2) as pool:
        meeting = manager.Barrier(2)
        given = [
            (place, laptop.root.parent, list(copies.values()), keep, meeting) for keep in keeps
        ]
        first, second = await asyncio.to_thread(pool.starmap, decide_all, given, 1)

    after, faults = texts(laptop), []
    assert len(laptop.kept()) == 2 * CONFLICTS
    for (name, copy), one, other in zip(copies.items(), first, second, strict=True):
        done = [keep for keep, said in zip(keeps, (one, other), strict=True) if said == "done"]
        found = after.get(name), after.get(copy)
        if len(done) != 1 or found != expected(name, done[0]):
            faults.append(f"{name}: {keeps}: {one}, {other}: {found}")
    assert faults == []


def expected(name: str, keep: Decision) -> tuple[str, str | None]:
    """What the file says in the end, and the copy."""
    mine, theirs = f"mine {name}", f"theirs {name}"
    if keep == "mine":
        return mine, None
    return theirs, mine if keep == "both" else None
