"""The server is restored and has lost versions; then a backup of the folder is put back.

What it brings may be older than what the server still has.
"""

from pathlib import Path

import pytest

from fixtures.failovers import Failover
from fixtures.mirrors import texts, write
from simulation.device import Device
from syncapi.client.errors import SafetyStop
from syncapi.client.folder.observe.observer import Keep
from syncapi.client.folder.reports import MirrorReport


@pytest.fixture
def laptop(failover: Failover, tmp_path: Path) -> Device:
    return failover.device("laptop", tmp_path)


@pytest.fixture
def desktop(failover: Failover, tmp_path: Path) -> Device:
    return failover.device("desktop", tmp_path)


async def sync(device: Device, went_back: Keep | None = None) -> MirrorReport:
    async with device.opened() as mirror:
        return await mirror.sync(went_back=went_back)


async def lose_newest(failover: Failover, laptop: Device, desktop: Device, *names: str) -> None:
    """Write three versions of each file, the last of which the server loses."""
    write(laptop, "kept", "kept")
    for text in ("oldest", "older"):
        for name in names:
            write(laptop, name, f"{text} {name}")
        await sync(laptop)
    failover.fork()
    for name in names:
        write(laptop, name, f"newest {name}")
    await sync(laptop)
    failover.take_over(laptop, desktop)


@pytest.mark.parametrize("is_known", [True, False], ids=["known", "not known"])
async def test_one_file_is_asked_about(
    is_known: bool, failover: Failover, laptop: Device, desktop: Device
) -> None:
    """Whether the loss is known before the backup comes or not."""
    await lose_newest(failover, laptop, desktop, "a")
    if is_known:
        async with laptop.opened() as mirror:
            await mirror.look()
    write(laptop, "a", "oldest a")

    (conflict,) = (await sync(laptop)).conflicts

    await sync(desktop)
    expected = {"kept": "kept", "a": "older a", conflict.copy_path: "oldest a"}
    assert texts(laptop) == texts(desktop) == expected


async def test_many_files_stop_the_sync(
    failover: Failover, laptop: Device, desktop: Device
) -> None:
    names = ("a", "b", "c", "d")
    await lose_newest(failover, laptop, desktop, *names)
    for name in names:
        write(laptop, name, f"oldest {name}")

    with pytest.raises(SafetyStop, match=r"^4 files here have gone back"):
        await sync(laptop)

    await sync(desktop)
    assert texts(desktop) == {"kept": "kept"} | {name: f"older {name}" for name in names}


async def test_what_the_backup_lacks_is_not_deleted(
    failover: Failover, laptop: Device, desktop: Device
) -> None:
    write(laptop, "missing", "missing")
    await lose_newest(failover, laptop, desktop, "a")
    write(laptop, "a", "oldest a")
    (laptop.root / "missing").unlink()

    with pytest.raises(SafetyStop, match=r"^1 files .* 1 of what was in step are missing"):
        await sync(laptop)

    await sync(desktop)
    assert texts(desktop) == {"kept": "kept", "a": "older a", "missing": "missing"}


async def test_the_servers_version_can_be_had_again(
    failover: Failover, laptop: Device, desktop: Device
) -> None:
    await lose_newest(failover, laptop, desktop, "a")
    write(laptop, "a", "oldest a")

    await sync(laptop, "theirs")

    await sync(desktop)
    assert texts(laptop) == texts(desktop) == {"kept": "kept", "a": "older a"}


async def test_both_have_the_older_version(
    failover: Failover, laptop: Device, desktop: Device
) -> None:
    """The backup lacks a file that the server still has."""
    write(laptop, "missing", "missing")
    names = ("a", "b", "c", "d")
    await lose_newest(failover, laptop, desktop, *names)
    for name in names:
        write(laptop, name, f"older {name}")
    (laptop.root / "missing").unlink()

    with pytest.raises(SafetyStop, match=r"^4 files .* 1 of what was in step are missing"):
        await sync(laptop)

    write(laptop, "missing", "missing")
    await sync(laptop)  # no longer in doubt: both are alike
    await sync(desktop)
    older = {name: f"older {name}" for name in names}
    assert texts(laptop) == texts(desktop) == {"kept": "kept", "missing": "missing", **older}


@pytest.mark.parametrize("answer", ["mine", "theirs"])
async def test_the_answer_is_taken_where_both_have_the_older_version(
    answer: Keep, failover: Failover, laptop: Device, desktop: Device
) -> None:
    write(laptop, "missing", "missing")
    await lose_newest(failover, laptop, desktop, "a")
    write(laptop, "a", "older a")
    (laptop.root / "missing").unlink()
    with pytest.raises(SafetyStop):
        await sync(laptop)

    await sync(laptop, answer)

    await sync(desktop)
    missing = {} if answer == "mine" else {"missing": "missing"}
    assert texts(laptop) == texts(desktop) == {"kept": "kept", "a": "older a", **missing}
