"""A server that was restored from an older copy gets back what it has lost; nothing goes here."""

from pathlib import Path
from random import Random

import pytest

from fixtures.failovers import Failover
from fixtures.mirrors import texts
from simulation.device import Device


@pytest.fixture
def laptop(failover: Failover, tmp_path: Path) -> Device:
    account = failover.account
    return Device("laptop", tmp_path, account.url, account.tenant_id, account.token, Random(1))


@pytest.fixture
def desktop(failover: Failover, tmp_path: Path) -> Device:
    account = failover.account
    return Device("desktop", tmp_path, account.url, account.tenant_id, account.token, Random(2))


async def test_what_was_lost_is_pushed_again(
    failover: Failover, laptop: Device, desktop: Device
) -> None:
    for name in ("same", "edited", "deleted"):
        (laptop.root / name).write_text(f"first {name}")
    await laptop.sync_calmly()
    failover.fork()
    (laptop.root / "edited").write_text("second edited")
    (laptop.root / "new").write_text("new")
    (laptop.root / "deleted").unlink()
    await laptop.sync_calmly()
    failover.take_over(laptop, desktop)

    report = await laptop.sync_calmly()

    assert report.failures == []
    assert report.conflicts == []
    await desktop.sync_calmly()
    # The deletion is lost with the rest: nothing here says any more that the document was there.
    wanted = {
        "same": "first same",
        "edited": "second edited",
        "new": "new",
        "deleted": "first deleted",
    }
    assert texts(laptop) == wanted
    assert texts(desktop) == wanted
    assert (await laptop.sync_calmly()).done == []


async def test_what_others_changed_since_is_a_conflict(
    failover: Failover, laptop: Device, desktop: Device
) -> None:
    (laptop.root / "both").write_text("first")
    await laptop.sync_calmly()
    await desktop.sync_calmly()
    failover.fork()
    (laptop.root / "both").write_text("seen by the laptop alone")
    await laptop.sync_calmly()
    failover.take_over(laptop, desktop)
    (desktop.root / "both").write_text("written after the restore")
    await desktop.sync_calmly()

    report = await laptop.sync_calmly()

    (conflict,) = report.conflicts
    await desktop.sync_calmly()
    for device in (laptop, desktop):
        assert texts(device) == {
            "both": "written after the restore",
            conflict.copy_path: "seen by the laptop alone",
        }
