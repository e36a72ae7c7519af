"""Kills the service and PostgreSQL under load, and starts them again."""

import asyncio
import random

from soak.ground import Ground
from soak.tally import Budget, Tally
from soak.world import World


async def kill(
    ground: Ground, world: World, budget: Budget, tally: Tally, rng: random.Random
) -> None:
    """SIGKILL the one or the other every few seconds until the budget is spent."""
    while True:
        await budget.pause(rng.uniform(5, 15))
        if budget.is_over:
            return
        if rng.random() < 0.6:
            await _kill_service(ground, world, rng)
            tally("killed: the service")
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
