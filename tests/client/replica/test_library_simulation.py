"""A run of the simulation of replicas; `make soak-client` runs as many as there is time for."""

from pathlib import Path

import pytest

from simulation.replicas.simulation import simulate
from simulation.runs import Place

EVIDENCE = Path("soak-evidence")


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_at_rest_all_are_equal_and_nothing_is_lost(
    own_place: Place, tmp_path: Path, fresh_seed: int
) -> None:
    outcome = await simulate(own_place, tmp_path, seed=fresh_seed, steps=25, programs=3)
    if outcome.faults:
        outcome.write(EVIDENCE, f"replicas seed {fresh_seed}")
    assert outcome.faults == [], "\n".join(outcome.log)
