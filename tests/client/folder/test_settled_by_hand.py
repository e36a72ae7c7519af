"""Conflicts that a person settles in a file manager are not asked about once more."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from fixtures.mirrors import texts, write
from simulation.device import Device
from simulation.faults import Fault

By = Callable[[Path, Path], object]


def move_over(copy: Path, place: Path) -> None:
    copy.replace(place)


def delete(copy: Path, _place: Path) -> None:
    copy.unlink()


@pytest.mark.parametrize(("by", "kept"), [(move_over, "first"), (delete, "second")])
@pytest.mark.parametrize("is_pushed", [True, False])
async def test_also_while_nothing_can_be_pushed(
    by: By, kept: str, is_pushed: bool, laptop: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older version was put back, which is asked about."""
    for text in ("first", "second"):
        write(laptop, "a.txt", text)
        await laptop.sync_calmly()
    write(laptop, "a.txt", "first")
    with monkeypatch.context() as patch:
        if not is_pushed:
            patch.setattr(laptop.api, "draw", refuse_pushes)
        await laptop.sync()
    (conflict,) = await laptop.conflicts()
    assert (conflict.copy_id is not None) is is_pushed

    by(laptop.root / conflict.copy_path, laptop.root / "a.txt")
    with monkeypatch.context() as patch:
        patch.setattr(laptop.api, "draw", refuse_pushes)
        for _ in range(3):
            await laptop.sync()
            assert texts(laptop) == {"a.txt": kept}
    report = await laptop.sync_calmly()
    assert not report.conflicts
    assert texts(laptop) == {"a.txt": kept}


def refuse_pushes(request: httpx.Request) -> Fault | None:
    is_push = request.method == "POST" and request.url.path.endswith("/documents/sync")
    return "refused" if is_push else None


async def test_a_copy_that_is_pushed_while_it_is_decided_about_is_settled(
    laptop: Device, desktop: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(laptop, "a.txt", "was")
    await laptop.sync_calmly()
    await desktop.sync_calmly()
    write(desktop, "a.txt", "theirs")
    await desktop.sync_calmly()
    write(laptop, "a.txt", "mine")
    with monkeypatch.context() as patch:
        patch.setattr(laptop.api, "draw", refuse_pushes)
        await laptop.sync()
    (found,) = await laptop.conflicts()
    await laptop.sync_calmly()

    async with laptop.seen() as mirror:
        monkeypatch.setattr(mirror, "conflict_of", lambda _path: found)
        mirror.resolve(found.copy_path, "both")

    assert (found.copy_id, await laptop.conflicts()) == (None, [])


async def test_the_folder_of_an_open_conflict_is_renamed(laptop: Device, desktop: Device) -> None:
    """Both documents keep their ids."""
    write(laptop, "p/a.txt", "was")
    await laptop.sync_calmly()
    await desktop.sync_calmly()
    write(desktop, "p/a.txt", "theirs")
    await desktop.sync_calmly()
    write(laptop, "p/a.txt", "mine")
    await laptop.sync_calmly()
    before = {entry.id: entry.sha256 for entry in laptop.entries()}
    (laptop.root / "p").rename(laptop.root / "q")

    report = await laptop.sync_calmly()

    assert report.counts == {"update": 2}
    assert {entry.id: entry.sha256 for entry in laptop.entries()} == before
    (conflict,) = report.conflicts
    assert texts(laptop) == {"q/a.txt": "theirs", conflict.copy_path: "mine"}
