"""A folder of which a copy is kept beside it, and that goes back to a backup."""

import random
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from simulation.desks import Desk
from simulation.people import Contents
from syncapi.client.folder.ignoring import read_ignores

_FOLDER: Final = "papers"
_COPY: Final = "papers of old"


async def go_back_beside_copy(
    desk: Desk,
    rng: random.Random,
    contents: Contents,
    sync: Callable[[], Awaitable[object]],
) -> str:
    """Work on a folder, copy it, and put a backup back that is older than the work; say so.

    The backup is older than the copy, too, or has it. All bytes that go back are other documents'.
    """
    root = desk.device.root
    if read_ignores(root).covers(f"{_FOLDER}/1"):
        return "papers are ignored"
    papers = [root / _FOLDER / str(number) for number in range(rng.randint(1, 6))]
    papers[0].parent.mkdir(exist_ok=True)
    for paper in papers:
        paper.write_bytes(contents.new())
    await sync()
    has_copy = rng.random() < 0.5
    if has_copy:
        await _copy(root, sync)
    desk.backup.make()
    if not has_copy:
        await _copy(root, sync)
    for paper in papers:
        await _go_on_with(paper, rng, contents, sync)
    for number in range(rng.randint(1, 5)):
        (root / f"newer {number}").write_bytes(contents.new())
    await sync()
    desk.backup.put_folder_back()
    return f"put a backup back that is older than {len(papers)} papers, beside a copy of them"


async def _copy(root: Path, sync: Callable[[], Awaitable[object]]) -> None:
    shutil.rmtree(root / _COPY, ignore_errors=True)
    shutil.copytree(root / _FOLDER, root / _COPY)
    await sync()


async def _go_on_with(
    paper: Path,
    rng: random.Random,
    contents: Contents,
    sync: Callable[[], Awaitable[object]],
) -> None:
    if rng.random() < 0.3:
        paper = _renamed(paper)
        await sync()
    paper.write_bytes(contents.new())


def _renamed(paper: Path) -> Path:
    return paper.rename(paper.with_name(f"{paper.name} renamed"))
