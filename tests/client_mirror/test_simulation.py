"""Some runs of the simulation; `make soak-client` runs as many as there is time for."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

import pytest

from fixtures.service import MakeTenant
from simulation.simulation import Outcome, Place, simulate
from syncapi.client.folder import executing
from syncapi.client.folder.disk import Disk, Identity
from syncapi.client.folder.out_of_sight import OutOfSight
from syncapi.client.folder.planning import deciding
from syncapi.client.folder.planning.documents import Doc, Fate
from syncapi.client.folder.rules import Rules
from syncapi.domain.access import Role

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


class TestADefectIsFound:
    """A checker that finds nothing proves nothing."""

    async def test_a_deletion_that_keeps_no_copy(
        self, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Found where the document was erased on the server, its history too."""

        def trash(self: Disk, path: str, _identity: Identity) -> None:
            self.place(path).unlink()

        monkeypatch.setattr(Disk, "trash", trash)
        assert await _found(place, tmp_path, seeds=(40, 24))  # few runs erase at the right time

    async def test_a_conflict_that_is_not_set_aside(
        self, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def take(self: executing.FolderHalf, current: object, action: object) -> None:
            del self, current, action

        def trash(self: Disk, path: str, _identity: Identity) -> None:
            self.place(path).unlink()

        monkeypatch.setattr(executing.FolderHalf, "_set_aside", take)
        monkeypatch.setattr(Disk, "trash", trash)
        assert await _found(place, tmp_path)

    async def test_a_deletion_of_what_was_ignored(
        self, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Patterns are taken out after files that they named were deleted to free space."""
        monkeypatch.setattr(OutOfSight, "mark", lambda _self, _ignores: None)
        assert await _found(place, tmp_path)

    async def test_a_document_that_is_held_by_its_old_place(
        self, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It moves from an ignored place to a visible one, or back."""

        def hold(doc: Doc, _rules: Rules) -> bool:
            doc.fate = Fate.HOLD
            return True

        def let_stay(doc: Doc) -> None:
            doc.fate = Fate.HOLD

        monkeypatch.setattr(deciding, "_stays_away", hold)
        monkeypatch.setattr(deciding, "_let_go", let_stay)
        assert await _found(place, tmp_path)


async def _found(place: Place, folder: Path, seeds: Iterable[int] = range(1, 9)) -> bool:
    """Whether a run with one of the seeds reports a fault."""
    for seed in seeds:
        own = folder / str(seed)
        own.mkdir()
        async with asyncio.timeout(120):
            outcome = await simulate(place, own, seed=seed, steps=60, devices=2)
        if outcome.faults:
            return True
    return False
