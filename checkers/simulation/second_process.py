"""Another process on a device's folder and state, while the first one syncs."""

import random
from typing import Final, get_args

from simulation.device import Decision, Device
from syncapi.client.errors import SafetyStop, StoreBusy, SyncError
from syncapi.client.folder.mirror import Mirror

DECISIONS: Final[tuple[Decision, ...]] = get_args(Decision)


class Intruded(Exception):  # noqa: N818 - what is promised is that it never comes to this
    """Two processes had the folder for themselves at once."""


async def act_beside(device: Device, rng: random.Random) -> str:
    """Do what somebody does in another terminal; say what came of it.

    Raises:
        Intruded: it could sync.
        SyncError: it could not look at the folder.
    """
    async with device.seen() as mirror:
        try:
            with mirror.exclusively():
                raise Intruded(f"{device.name}: a second process could sync")
        except StoreBusy:
            pass
        return await rng.choice((_look, _decide))(mirror, rng)


async def _look(mirror: Mirror, _rng: random.Random) -> str:
    """As `status` and `ignored` do beside a sync."""
    try:
        view = await mirror.look(offline=True)
    except SafetyStop:
        return "status: the folder is gone"
    return f"status: {len(view.plan.actions)} to do, {len(mirror.conflicts())} conflicts"


async def _decide(mirror: Mirror, rng: random.Random) -> str:
    """As `conflicts resolve` does, which waits for no sync."""
    conflicts = mirror.conflicts()
    if not conflicts:
        return "no conflict to resolve"
    copy, keep = rng.choice(conflicts).copy_path, rng.choice(DECISIONS)
    try:
        mirror.resolve(copy, keep)
    except (SyncError, OSError) as error:
        return f"resolve {copy}: {error}"
    return f"resolve {copy}: {keep}"
