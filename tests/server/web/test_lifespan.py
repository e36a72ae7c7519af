"""A start that fails half-way closes what it had opened."""

import asyncio

import pytest

from syncapi.server.main import create_app
from syncapi.server.settings import Settings


def _running() -> set[asyncio.Task[object]]:
    return {task for task in asyncio.all_tasks() if not task.cancelling()}


async def test_half_a_start_leaves_nothing_running(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("the last part cannot be made")

    monkeypatch.setattr("syncapi.server.main.ReadinessChecks", fail)
    app = create_app(settings)
    before = _running()
    with pytest.raises(RuntimeError, match="the last part"):
        async with app.router.lifespan_context(app):
            pytest.fail("it started")
    assert _running() <= before  # what other tests left may have ended meanwhile
    assert not hasattr(app.state, "service")


async def test_a_whole_life_leaves_nothing_running(settings: Settings) -> None:
    app = create_app(settings)
    before = _running()
    async with app.router.lifespan_context(app):
        assert _running() > before
        assert (await app.state.service.readiness.look()).missing == []
    assert _running() <= before  # what other tests left may have ended meanwhile
