"""Whatever happens after a decision was broken off, mine is what was written on this machine.

The table is (kills) times (what is done to the files) times (who comes meanwhile) times (what is
decided then). Each of its cells is a conflict in a folder of its own, so that one sync serves all.
"""

import os
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Final, Literal, get_args

import pytest

from fixtures.mirrors import write
from simulation.crashes import Crashed, crash_at
from simulation.device import Decision, Device
from simulation.rest import differences
from simulation.runs import Place
from simulation.second_process import DECISIONS
from simulation.truth import Truth
from syncapi.client.errors import SyncError
from syncapi.client.folder.mirror import Mirror
from syncapi.client.folder.reports import FolderConflict
from syncapi.client.transfer.contents import BytesContent, digest_of

Meanwhile = Literal["a look", "a sync", "an edit on the server and a sync"]

Kill = tuple[Decision, str, int]
KILLS: Final[tuple[Kill, ...]] = (
    ("mine", "exchange", 1),
    ("mine", "move", 1),  # of theirs to the trash
)
KILLS_AT_THE_END: Final[tuple[Kill, ...]] = (("mine", "_commit", 2), ("theirs", "_commit", 1))
"""What is decided at first, and before which change of the disk the process ends."""


@dataclass
class Version:
    """One side of a conflict.

    Attributes:
        place: of its file; None once a person has deleted it.
        given_up: what a person has overwritten or deleted.
    """

    text: str
    place: Path | None
    given_up: list[str] = field(default_factory=list)

    @property
    def now(self) -> str | None:
        return None if self.place is None else self.text

    def leave(self) -> None:
        """Change nothing."""

    def append(self) -> None:
        assert self.place is not None
        self._write(f"{self.text}, edited")
        with self.place.open("a") as stream:
            stream.write(", edited")

    def save_anew(self) -> None:
        """As editors do: a new file takes the name of the old one."""
        assert self.place is not None
        self._write(f"{self.text}, saved anew")
        new = self.place.with_name("new")
        new.write_text(self.text)
        new.replace(self.place)

    def _write(self, text: str) -> None:
        self.given_up.append(self.text)
        self.text = text

    def rename(self) -> None:
        assert self.place is not None
        self.place = self.place.rename(self.place.with_name(f"renamed {self.text[:4]}"))

    def delete(self) -> None:
        assert self.place is not None
        self.given_up.append(self.text)
        self.place.unlink()
        self.place = None


Act = Callable[[Version], None]
ACTS: Final[tuple[tuple[Act, Act], ...]] = (
    (Version.leave, Version.leave),
    (Version.append, Version.leave),
    (Version.leave, Version.append),
    (Version.save_anew, Version.leave),
    (Version.leave, Version.save_anew),
    (Version.append, Version.save_anew),
    (Version.rename, Version.leave),
    (Version.leave, Version.rename),
    (Version.delete, Version.leave),
    (Version.leave, Version.delete),
)
"""What is done to mine and to theirs after the kill."""


@dataclass
class Cell:
    """A conflict with what happens to it."""

    kill: Kill
    acts: tuple[Act, Act]
    then: Decision
    folder: Path
    mine: Version = field(init=False)
    theirs: Version = field(init=False)
    written: set[str] = field(default_factory=set)
    apart: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def title(self) -> str:
        (keep, change, _), acts = self.kill, " and ".join(act.__name__ for act in self.acts)
        return f"{keep} killed at {change}, {acts}, then {self.then}"

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def texts(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in self.folder.glob("*")}

    def change(self) -> None:
        """See where the kill has left the two, and do what is done to them."""
        places = {path.read_text(): path for path in self.folder.iterdir()}
        sides = [Version(text, places.get(text)) for text in self._texts_at_first()]
        for version, act in zip(sides, self.acts, strict=True):
            if version.place is not None:
                act(version)
        self.mine, self.theirs = sides
        self.written = {version.text for version in sides} | set(self._texts_at_first())
        self.written -= {text for version in sides for text in version.given_up}

    def _texts_at_first(self) -> tuple[str, str]:
        return f"mine {self.name}", f"theirs {self.name}"

    def edited_on_server(self) -> None:
        if self.theirs.given_up and self.theirs.place is not None:
            self.apart = [self.theirs.text]  # a conflict of its own
        self.theirs = Version(f"newer {self.name}", self.theirs.place or self.folder / "a.txt")
        self.written.add(self.theirs.text)

    def decide(self, mirror: Mirror, listed: list[FolderConflict], *, is_synced: bool) -> None:
        """Decide then what is decided then, and judge it."""
        sides = {conflict.copy_path: self._sides(mirror, conflict) for conflict in listed}
        mine = [copy for copy, (_, text) in sides.items() if text == self.mine.text]
        if is_synced:
            wanted = sorted([*([self.mine.text] if self._is_open() else []), *self.apart])
            shown = sorted(str(text) for _, text in sides.values())
            self._expect(shown == wanted, f"listed: {sides}")
            self._expect({text for text, _ in sides.values()} <= {self.theirs.now}, f"{sides}")
        if not mine:
            return
        if is_synced or Version.rename not in self.acts:
            found = sides[mine[0]]
            self._expect(found == (self.theirs.now, self.mine.now), f"shown: {found}")
        self._decide(mirror, mine[0], self.then, is_synced=is_synced)

    def _is_open(self) -> bool:
        """Whether there is a question, once a sync has seen the files.

        Who deletes theirs where it has the copy's name has answered it.
        """
        if self.mine.place is None:
            return False
        return self.theirs.place is not None or self.mine.place.name != "a.txt"

    def _is_elsewhere(self) -> bool:
        """Whether a person has moved or deleted a file that no sync has looked for yet."""
        return not {Version.rename, Version.delete}.isdisjoint(self.acts)

    def _is_done(self) -> bool:
        """Whether the first decision was carried out, but for the note of it."""
        return self.kill[1] == "_commit"

    def _sides(self, mirror: Mirror, conflict: FolderConflict) -> tuple[str | None, str | None]:
        theirs, mine = (self.texts.get(Path(path).name) for path in mirror.sides_of(conflict))
        return theirs, mine

    def _decide(self, mirror: Mirror, copy: str, keep: Decision, *, is_synced: bool) -> None:
        before = self.texts
        try:
            conflict = mirror.resolve(copy, keep)
        except SyncError as error:
            self._expect(not is_synced and (self._is_elsewhere() or self._is_done()), str(error))
            self._expect(sorted(before.values()) == sorted(self.texts.values()), "an error, yet")
            return
        name = Path(conflict.path).name
        wanted = {"mine": self.mine, "theirs": self.theirs, "both": self.theirs}[keep]
        has_moved = wanted is self.theirs and not is_synced and self.acts[1] is Version.rename
        is_there = self.texts.get(name) == (None if has_moved else wanted.now)
        self._expect(is_there, f"{name} is {self.texts.get(name)}")
        copy_text = self.texts.get(Path(copy).name)
        self._expect(
            copy_text == (self.mine.text if keep == "both" else None), f"the copy is {copy_text}"
        )

    def _expect(self, holds: bool, what: str) -> None:
        if not holds:
            self.faults.append(f"{self.title}: {what}")


@pytest.fixture
async def truth(place: Place) -> AsyncIterator[Truth]:
    truth = Truth(await place.connect(), place.tenant_id)
    yield truth
    await truth.close()


@dataclass
class Table:
    """All cells of a table, in the folder of a laptop; the desktop edits on the server."""

    laptop: Device
    desktop: Device
    cells: list[Cell]

    async def begin(self) -> None:
        """Have a conflict in each cell."""
        self._write(self.laptop, "was")
        await self.laptop.sync_calmly()
        await self.desktop.sync_calmly()
        self._write(self.desktop, "theirs")
        self._write(self.laptop, "mine")
        await self.desktop.sync_calmly()
        await self.laptop.sync_calmly()

    def _write(self, device: Device, text: str) -> None:
        for cell in self.cells:
            write(device, f"{cell.name}/a.txt", f"{text} {cell.name}")

    async def break_off(self) -> None:
        """Decide at first, end the process on the way, and change the files."""
        async with self.laptop.seen() as mirror:
            copies = {c.copy_path.partition("/")[0]: c.copy_path for c in mirror.conflicts()}
            for cell in self.cells:
                keep, change, moment = cell.kill
                with (
                    pytest.raises(Crashed),
                    crash_at(moment, is_after=False, among={change}),
                ):
                    mirror.resolve(copies[cell.name], keep)
                cell.change()

    async def go_on(self, meanwhile: Meanwhile) -> None:
        match meanwhile:
            case "a look":
                await self.laptop.to_do()
            case "a sync":
                await self.laptop.sync_calmly()
            case _:
                await self.desktop.sync_calmly()
                self._write(self.desktop, "newer")
                await self.desktop.sync_calmly()
                for cell in self.cells:
                    cell.edited_on_server()
                await self.laptop.sync_calmly()

    async def decide(self, *, is_synced: bool) -> None:
        async with self.laptop.seen() as mirror:
            listed: dict[str, list[FolderConflict]] = defaultdict(list)
            for conflict in mirror.conflicts():
                listed[conflict.copy_path.partition("/")[0]].append(conflict)
            for cell in self.cells:
                cell.decide(mirror, listed[cell.name], is_synced=is_synced)

    @property
    def faults(self) -> list[str]:
        return [fault for cell in self.cells for fault in cell.faults]


@pytest.mark.slow
@pytest.mark.parametrize("then", DECISIONS)
@pytest.mark.parametrize("meanwhile", get_args(Meanwhile))
async def test_each_cell(
    meanwhile: Meanwhile,
    then: Decision,
    laptop: Device,
    desktop: Device,
    truth: Truth,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)  # no power is cut
    cells = [*product(KILLS, ACTS), *product(KILLS_AT_THE_END, ACTS[:3])]
    table = Table(
        laptop,
        desktop,
        [Cell(*cell, then, laptop.root / f"{number:02}") for number, cell in enumerate(cells)],
    )
    await table.begin()
    await table.break_off()
    await table.go_on(meanwhile)
    await table.decide(is_synced=meanwhile.endswith("a sync"))
    before = laptop.tree()
    await laptop.sync_calmly()
    kept = laptop.kept() | await truth.kept()
    table_faults = table.faults
    for cell in table.cells:
        lost = [text for text in cell.written if _sha256(text) not in kept]
        if lost:
            table_faults.append(f"{cell.title}: lost {lost}")
    assert "\n".join(table_faults) == ""
    assert sorted(laptop.tree().values()) == sorted(before.values())
    assert await differences(laptop, await truth.live()) == []


def _sha256(text: str) -> str:
    return digest_of(BytesContent(text.encode())).sha256_hash
