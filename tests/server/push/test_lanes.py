"""How many of a pool's connections those may hold who may have to wait for a lock.

A place is asked for with no time to wait, so the answer is what is free at that moment.
"""

from contextlib import AsyncExitStack
from uuid import UUID, uuid4

import pytest

from syncapi.server.domain.errors import Unavailable
from syncapi.server.postgres.lanes import Lanes

OURS, OTHER = uuid4(), uuid4()


async def gets_place(
    lanes: Lanes, taken: AsyncExitStack, tenant: UUID, *, is_held_up: bool = False
) -> bool:
    """Whether there is a place; it stays taken."""
    place = lanes.place(tenant, until=0.0, is_held_up=is_held_up)
    try:
        await taken.enter_async_context(place)
    except Unavailable:
        return False
    return True


@pytest.mark.parametrize(("size", "half"), [(2, 2), (4, 2), (10, 5)])
async def test_a_tenants_writes_hold_half_of_the_pool(size: int, half: int) -> None:
    lanes = Lanes(size)
    async with AsyncExitStack() as taken:
        ours = [await gets_place(lanes, taken, OURS) for _ in range(size + 1)]
        assert sum(ours) == half
        assert await gets_place(lanes, taken, OTHER)


@pytest.mark.parametrize(("size", "quarter"), [(2, 1), (4, 1), (10, 2), (20, 5)])
async def test_writes_that_met_a_lock_hold_a_quarter_whosever_they_are(
    size: int, quarter: int
) -> None:
    lanes = Lanes(size)
    async with AsyncExitStack() as taken:
        tenants = [uuid4() for _ in range(size)]
        held_up = [await gets_place(lanes, taken, one, is_held_up=True) for one in tenants]
        assert sum(held_up) == quarter
        assert await gets_place(lanes, taken, tenants[0]), "a write that has met none"


@pytest.mark.parametrize("is_held_up", [False, True])
async def test_a_write_that_fails_gives_its_place_back(*, is_held_up: bool) -> None:
    lanes = Lanes(2)

    async def fail() -> None:
        async with lanes.place(OURS, until=0.0, is_held_up=is_held_up):
            raise ConnectionError

    for _ in range(3):
        with pytest.raises(ConnectionError):
            await fail()
