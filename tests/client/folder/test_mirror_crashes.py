"""A crash at every change of the disk, before it and after it, in a sync that does everything.

Others go on before the next sync, which does what it would have done without the crash.
"""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from simulation.device import Device
from simulation.interruptions import OTHERS, Interruptions, Others
from simulation.runs import Place
from simulation.truth import Truth
from syncapi.client.api.client import Client


@pytest.fixture
async def interruptions(place: Place, laptop: Device) -> AsyncIterator[Interruptions]:
    connection = await asyncpg.connect(place.database_url)
    async with Client(place.url, place.tenant_id, place.token) as client:
        yield Interruptions(laptop, client, Truth(connection, place.tenant_id))
    await connection.close()


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("others", OTHERS)
async def test_a_crash_at_any_moment(others: Others, interruptions: Interruptions) -> None:
    """A deed and its note are three moments apart, so every third one is enough.

    `make soak-client` tries all of them with all that others can do.
    """
    step = 3 if others in ("restored", "deleted", "edited") else 9
    for moment in range(1, 1 + await interruptions.moments(), step):
        await interruptions.interrupt(moment, others, is_after=moment % 2 == 0)
    assert interruptions.faults == []
