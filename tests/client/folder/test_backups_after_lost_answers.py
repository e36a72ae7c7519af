"""A push arrives, its answer is lost, and a backup puts the bytes from before it back."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeAlias

import httpx
import pytest

from fixtures.mirrors import texts, write
from simulation.crashes import Crashed
from simulation.device import Device
from simulation.faults import Fault
from syncapi.client.errors import SafetyStop
from syncapi.client.folder.apply.remote_executor import RemoteExecutor
from syncapi.client.folder.observe.observer import Keep
from syncapi.client.folder.reports import MirrorReport

SyncUnanswered: TypeAlias = Callable[[Device], Awaitable[None]]


async def sync(device: Device, went_back: Keep | None = None) -> MirrorReport:
    async with device.opened() as mirror:
        return await mirror.sync(went_back=went_back)


def lose_answers(request: httpx.Request) -> Fault | None:
    is_push = request.method == "POST" and request.url.path.endswith("/documents/sync")
    return "lost" if is_push else None


async def sync_without_answers(device: Device) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(device.api, "draw", lose_answers)
        await device.sync()


async def sync_and_die_at_the_answer(device: Device) -> None:
    def die(*_: object) -> None:
        raise Crashed("before the answer was noted")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RemoteExecutor, "_learn_answer", die)
        with pytest.raises(Crashed):
            await sync(device)


@pytest.fixture(params=[sync_without_answers, sync_and_die_at_the_answer])
def sync_unanswered(request: pytest.FixtureRequest) -> SyncUnanswered:
    return partial(request.param)


async def push_unanswered(
    sync_unanswered: SyncUnanswered, laptop: Device, desktop: Device, *names: str
) -> None:
    """Have the server hold two versions, while the ledger knows of the first one alone."""
    write(laptop, "kept", "kept")
    for name in names:
        write(laptop, name, f"old {name}")
    await sync(laptop)
    for name in names:
        write(laptop, name, f"new {name}")
    await sync_unanswered(laptop)
    await sync(desktop)
    assert texts(desktop) == {"kept": "kept"} | {name: f"new {name}" for name in names}


async def test_one_file_is_asked_about(
    sync_unanswered: SyncUnanswered, laptop: Device, desktop: Device
) -> None:
    await push_unanswered(sync_unanswered, laptop, desktop, "a")
    write(laptop, "a", "old a")

    (conflict,) = (await sync(laptop)).conflicts

    await sync(desktop)
    expected = {"kept": "kept", "a": "new a", conflict.copy_path: "old a"}
    assert texts(laptop) == texts(desktop) == expected


async def test_many_files_stop_the_sync(
    sync_unanswered: SyncUnanswered, laptop: Device, desktop: Device
) -> None:
    names = ("a", "b", "c", "d")
    await push_unanswered(sync_unanswered, laptop, desktop, *names)
    for name in names:
        write(laptop, name, f"old {name}")

    with pytest.raises(SafetyStop, match=r"^4 files here have gone back"):
        await sync(laptop)

    await sync(laptop, "theirs")
    await sync(desktop)
    newest = {"kept": "kept"} | {name: f"new {name}" for name in names}
    assert texts(laptop) == texts(desktop) == newest


async def test_a_new_name_was_pushed_too(
    sync_unanswered: SyncUnanswered, laptop: Device, desktop: Device
) -> None:
    """What the backup brings has the name and the bytes of the missing file from before."""
    write(laptop, "kept", "kept")
    write(laptop, "a", "old")
    await sync(laptop)
    (laptop.root / "a").rename(laptop.root / "b")
    await sync(laptop)
    write(laptop, "b", "new")
    await sync_unanswered(laptop)
    (laptop.root / "b").unlink()
    write(laptop, "a", "old")

    with pytest.raises(SafetyStop, match=r"^1 files .* 1 of what was in step are missing"):
        await sync(laptop)

    await sync(desktop)
    assert texts(desktop) == {"kept": "kept", "b": "new"}


async def test_a_new_file_was_pushed(
    sync_unanswered: SyncUnanswered, laptop: Device, desktop: Device
) -> None:
    """The ledger does not know its version yet; the backup lacks it."""
    write(laptop, "kept", "old")
    await sync(laptop)
    write(laptop, "kept", "new")
    await sync(laptop)
    write(laptop, "a", "a")
    await sync_unanswered(laptop)
    (laptop.root / "a").unlink()
    write(laptop, "kept", "old")

    with pytest.raises(SafetyStop, match=r"^1 files .* 1 of what was in step are missing"):
        await sync(laptop)

    await sync(desktop)
    assert texts(desktop) == {"kept": "new", "a": "a"}
