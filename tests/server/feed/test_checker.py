"""A short run of the randomised checker, and the proof that it finds what it looks for."""

from pathlib import Path

import pytest

from fixtures.worlds import MakeWorld
from soak.checker import Cast, Checker
from soak.disturbances import make_clock_step, make_stamps_naive
from soak.session import session
from soak.tally import Budget


@pytest.mark.slow
async def test_at_rest_every_replica_equals_the_server(make_world: MakeWorld) -> None:
    world = await make_world(2)
    async with session(world.database_url) as connection:
        await make_clock_step(connection)
    outcome = await Checker(world, seed=1, cast=Cast()).run(Budget(acts=350))
    assert not outcome.misses, str(outcome)
    counts = outcome.tally.counts
    for what in (
        "sql: committed, read committed",
        "sql: committed, repeatable read",
        "sql: hard deletion",
        "sql: undelete",
        "sql: rolled back",
        "sql: savepoint rolled back",
        "api: upload, done",
        "api: soft deletion, done",
        "read: crash before storing",
        "read: crash after storing",
        "disturbed: clock stepped",
        "api: a document with a declared file, applied",
        "checked: a replica under way",
        "checked: documents at rest",
        "checked: pushed changes that were written",
    ):
        assert counts[what], f"the run proves nothing of '{what}':\n{outcome}"


@pytest.mark.slow
async def test_so_it_does_with_a_seed_that_no_run_had_before(
    make_world: MakeWorld, fresh_seed: int, tmp_path: Path
) -> None:
    world = await make_world(2)
    async with session(world.database_url) as connection:
        await make_clock_step(connection)
    outcome = await Checker(world, seed=fresh_seed, cast=Cast()).run(Budget(acts=250))
    outcome.keep_evidence(tmp_path)
    assert not outcome.misses, f"{outcome}\nevidence in {tmp_path}"


@pytest.mark.slow
async def test_it_finds_what_stamps_of_the_transactions_own_time_miss(
    make_world: MakeWorld,
) -> None:
    world = await make_world(1)
    async with session(world.database_url) as connection:
        await make_stamps_naive(connection)
    cast = Cast(api_writers=0, devices=0, is_disturbed=False)
    outcome = await Checker(world, seed=1, cast=cast).run(Budget(acts=120))
    assert len({miss.document for miss in outcome.misses}) > 1, str(outcome)
