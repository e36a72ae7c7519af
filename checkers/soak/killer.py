"""Kills the service, PostgreSQL and Valkey under load, and starts them again."""

import asyncio
import random
import shutil

from soak.ground import Ground
from soak.tally import Budget, Tally
from soak.world import World


async def kill(
    ground: Ground, world: World, budget: Budget, tally: Tally, rng: random.Random
) -> None:
    """SIGKILL one of them every few seconds until the budget is spent."""
    while True:
        await budget.pause(rng.uniform(5, 15))
        if budget.is_over:
            return
        draw = rng.random()
        if draw < 0.5:
            await _kill_service(ground, world, rng)
            tally("killed: the service")
        elif draw < 0.65:
            await _kill_valkey(ground, budget, rng)
            tally("killed: Valkey")
        else:
            await asyncio.to_thread(ground.servers.postgres.kill)
            await budget.pause(rng.uniform(0, 2))
            await asyncio.to_thread(ground.servers.postgres.start)
            tally("killed: PostgreSQL")


async def _kill_service(ground: Ground, world: World, rng: random.Random) -> None:
    """One of the processes; it comes back elsewhere."""
    number = rng.randrange(len(world.urls))
    service = ground.services.pop(world.urls[number])
    await asyncio.to_thread(service.kill)
    world.urls[number] = await asyncio.to_thread(service.start)
    ground.services[world.urls[number]] = service


async def _kill_valkey(ground: Ground, budget: Budget, rng: random.Random) -> None:
    """It comes back with what it had written, or with nothing."""
    valkey = ground.servers.valkey
    await asyncio.to_thread(valkey.kill)
    await budget.pause(rng.uniform(0, 2))
    if rng.random() < 0.5:
        await asyncio.to_thread(shutil.rmtree, valkey.folder.path / "data")
    await asyncio.to_thread(valkey.start)
