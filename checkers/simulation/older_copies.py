"""A folder that goes back to a backup: beside a copy, after an undo, lost answers or a loss."""

import random
import shutil
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from typing import Final

from simulation.desks import Desk
from simulation.device import NOTHING, Decision
from simulation.people import Contents
from syncapi.client.folder.ignore_rules import read_ignores

_ANSWERS: Final[tuple[Decision | None, ...]] = (None, None, "theirs", "mine")


async def go_back_beside_copy(
    desk: Desk,
    rng: random.Random,
    contents: Contents,
    sync: Callable[[], Awaitable[object]],
) -> str:
    """Work on a folder, copy it, and put a backup back that is older than the work; say so.

    The backup is older than the copy, too, or has it. All bytes that go back are other documents'.
    """
    folder = _new_folder(desk)
    if folder is None:
        return "papers are ignored"
    papers = [folder / str(number) for number in range(rng.randint(1, 6))]
    for paper in papers:
        paper.write_bytes(contents.new())
    await sync()
    has_copy = rng.random() < 0.5
    if has_copy:
        await _copy(folder, sync)
    desk.backup.make()
    if not has_copy:
        await _copy(folder, sync)
    for paper in papers:
        await _go_on_with(paper, rng, contents, sync)
    for number in range(rng.randint(1, 5)):
        (folder / f"newer {number}").write_bytes(contents.new())
    await sync()
    desk.backup.put_folder_back()
    return f"put a backup back that is older than {len(papers)} papers, beside a copy of them"


async def go_back_to_what_was_asked(
    desk: Desk,
    rng: random.Random,
    contents: Contents,
    sync: Callable[[], Awaitable[object]],
) -> str:
    """Undo an edit, leave the question or answer it, and put a backup back; say so.

    The backup has what was asked about, and lacks what came since.
    """
    folder = _new_folder(desk)
    if folder is None:
        return "papers are ignored"
    paper = folder / "paper"
    first = contents.new()
    paper.write_bytes(first)
    await sync()
    desk.backup.make()
    for number in range(rng.randint(1, 5)):
        (folder / f"newer {number}").write_bytes(contents.new())
    paper.write_bytes(contents.new())
    await sync()
    paper.write_bytes(first)
    await sync()
    answer = rng.choice(_ANSWERS)
    if answer is not None:
        path = paper.relative_to(desk.device.root).as_posix()
        await desk.device.decide(path, answer, NOTHING)
        await sync()
    desk.backup.put_folder_back()
    return f"put a backup back that has what was undone, which was answered by {answer}"


async def go_back_after_lost_answers(
    desk: Desk,
    rng: random.Random,
    contents: Contents,
    sync: Callable[[], Awaitable[object]],
) -> str:
    """Push edits of which no answer comes, and put a backup back from before them; say so."""
    folder = _new_folder(desk)
    if folder is None:
        return "papers are ignored"
    papers = [folder / str(number) for number in range(rng.randint(1, 6))]
    for paper in papers:
        paper.write_bytes(contents.new())
    await sync()
    desk.backup.make()
    for paper in papers:
        paper.write_bytes(contents.new())
    for number in range(rng.randint(0, 2)):
        (folder / f"newer {number}").write_bytes(contents.new())
    with desk.device.losing_answers():
        await desk.device.sync()
    desk.backup.put_folder_back()
    return f"put a backup back from before a push of {len(papers)} papers without an answer"


async def go_back_after_loss(
    desk: Desk,
    rng: random.Random,
    contents: Contents,
    sync: Callable[[], Awaitable[object]],
    *,
    fork: Callable[[], Awaitable[None]],
    lose: Callable[[], Awaitable[None]],
) -> str:
    """Have the server lose the last of three versions, and put a backup of the first one back."""
    folder = _new_folder(desk)
    if folder is None:
        return "papers are ignored"
    papers = [folder / str(number) for number in range(rng.randint(1, 6))]

    async def write_all() -> None:
        for paper in papers:
            paper.write_bytes(contents.new())
        await sync()

    await write_all()
    desk.backup.make()
    for number in range(rng.randint(0, 2)):
        (folder / f"newer {number}").write_bytes(contents.new())
    await write_all()
    await fork()
    await write_all()
    await lose()
    if rng.random() < 0.3:
        await sync()
    desk.backup.put_folder_back()
    return f"put a backup of {len(papers)} papers back that is older than what the server has left"


def _new_folder(desk: Desk) -> Path | None:
    """Make a folder that is no other desk's; None if it would be ignored."""
    root, name = desk.device.root, f"papers of {desk.device.name}"
    if read_ignores(root).covers(f"{name} 0/0"):
        return None
    folder = next(path for n in count() if not (path := root / f"{name} {n}").exists())
    folder.mkdir()
    return folder


async def _copy(folder: Path, sync: Callable[[], Awaitable[object]]) -> None:
    shutil.copytree(folder, folder.with_name(f"copy of {folder.name}"), dirs_exist_ok=True)
    await sync()


async def _go_on_with(
    paper: Path,
    rng: random.Random,
    contents: Contents,
    sync: Callable[[], Awaitable[object]],
) -> None:
    if rng.random() < 0.3 and _is_there(paper):
        old, paper = paper, _renamed(paper)
        await sync()
        if rng.random() < 0.5:
            old.write_bytes(contents.new())
    paper.write_bytes(contents.new())


def _is_there(paper: Path) -> bool:
    """A sync may have set it aside."""
    return paper.exists()


def _renamed(paper: Path) -> Path:
    return paper.rename(paper.with_name(f"{paper.name} renamed"))
