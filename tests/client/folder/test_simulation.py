"""Some runs of the simulation; `make soak-client` runs as many as there is time for."""

from pathlib import Path

import pytest

from fixtures.service import MakeTenant
from simulation.runs import Outcome, Place
from simulation.simulation import simulate
from syncapi.server.domain.access import Role

EVIDENCE = Path("soak-evidence")

pytestmark = pytest.mark.timeout(1200)


@pytest.mark.slow
@pytest.mark.parametrize("run", range(2))
async def test_at_rest_all_are_equal_and_nothing_is_lost(
    run: int, own_place: Place, tmp_path: Path, fresh_seed: int
) -> None:
    seed = fresh_seed + run
    outcome = await simulate(own_place, tmp_path, seed=seed, steps=60, devices=3)
    if outcome.faults:
        outcome.write(EVIDENCE, f"client seed {seed}")
    assert outcome.faults == [], "\n".join(outcome.log)


@pytest.mark.slow
async def test_the_same_seed_is_the_same_run(
    place: Place, make_tenant: MakeTenant, tmp_path: Path
) -> None:
    async def run(number: int) -> Outcome:
        tenant = await make_tenant()
        own = Place(place.url, place.database_url, tenant.id, tenant.tokens[Role.ADMIN])
        folder = tmp_path / str(number)
        folder.mkdir()
        return await simulate(own, folder, seed=7, steps=40, devices=2)

    one, other = [await run(number) for number in range(2)]
    assert one.log == other.log
    assert len(one.log) > 40
