"""A sync with an action of every kind, killed somewhere; then others go on; then the next sync.

What becomes of each document is what would have, had it been synced before the others went on, or
not at all yet. The two are tried without a kill first.
"""

import re
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random
from typing import Any, Final, Literal, get_args
from uuid import UUID, uuid4

from simulation.crashes import crash_at
from simulation.device import Befalling, Device
from simulation.rest import differences
from simulation.runs import Place
from simulation.truth import Truth
from syncapi.client.api.client import Client
from syncapi.client.folder.model import Base
from syncapi.client.transfer.contents import BytesContent, digest_of
from syncapi.client.transfer.uploads import Uploader
from syncapi.protocol.documents import Document, DocumentChanges
from syncapi.protocol.push import CreateChange, DeleteChange, PushedChange, UpdateChange

FILES: Final = ("edited", "edited there", "both", "renamed", "renamed there", "gone", "gone there")

Others = Literal[
    "nothing", "restored", "deleted", "erased", "edited", "renamed", "folder renamed", "reverted"
]
"""What others do to all documents between the kill and the next sync."""

OTHERS: Final[tuple[Others, ...]] = get_args(Others)

_CONFLICT: Final = re.compile(r" \(conflict [^)]*\)")

Outcome = dict[str, dict[str, list[tuple[str, str]]]]
"""By file and by whose edit: the paths and states of its live documents."""


@dataclass(frozen=True, slots=True)
class _Label:
    """Where bytes come from: of which file, by which edit of it, and how often edited since."""

    name: str
    edit: str
    since: str = ""


@dataclass
class Interruptions:
    """One device, one person at it and others on the server.

    Attributes:
        faults: what was wrong, in words.
    """

    laptop: Device
    client: Client
    truth: Truth
    faults: list[str] = field(default_factory=list)
    _labels: dict[str, _Label] = field(default_factory=dict)
    _numbers: Any = field(default_factory=count)
    _expected: dict[Others, tuple[Outcome, Outcome]] = field(default_factory=dict)

    async def moments(self) -> int:
        """How many changes of the disk such a sync makes."""
        await self._change(await self._prepare())
        with crash_at(0, is_after=False) as seen:
            report = await self.laptop.sync_calmly()
        kinds = {"set_aside", "move", "download", "trash", "create", "update", "delete"}
        assert report.counts.keys() >= kinds
        return len(seen)

    async def interrupt(self, moment: int, others: Others, *, is_after: bool) -> None:
        """Kill a sync at a moment, have the others go on, and sync; note what is wrong then."""
        allowed = await self._allowed(others)
        here = await self._prepare()
        await self._change(here)
        before = self.laptop.kept() | await self.truth.kept()
        said = await self.laptop.sync(Befalling(moment, is_after))
        where = f"{others} at {moment}{' (after it)' if is_after else ''}, {said}"
        self._expect_kept(before, await self.truth.kept(), where)
        await self._go_on(others, here)
        before = self.laptop.kept() | await self.truth.kept()
        report = await self.laptop.sync_calmly()
        self.faults += [f"{where}: {failure}" for failure in report.failures]
        self._expect_kept(before, await self.truth.kept(), where)
        self.faults += [
            f"{where}: {fault}"
            for fault in await differences(self.laptop, await self.truth.live())
        ]
        self.faults += [f"{where}: left {name}" for name in self.laptop.litter()]
        self._hold_against(allowed, await self._outcome(here), where)

    def _expect_kept(self, before: set[str], there: set[str], where: str) -> None:
        lost = before - self.laptop.kept() - there
        self.faults += [f"{where}: lost {self._labels.get(sha256)}" for sha256 in lost]

    def _hold_against(self, allowed: tuple[Outcome, Outcome], found: Outcome, where: str) -> None:
        for name in (*FILES, "new", "new there"):
            now, wanted = found.get(name, {}), [one.get(name, {}) for one in allowed]
            if name == "both":  # two documents in the end, each synced or not
                edits = {edit for one in (now, *wanted) for edit in one}
                aside = [{"mine": [("/both (conflict)", "")]}]  # only the device knows of it yet
                may_be = [*wanted, *aside]
                is_fine = all(now.get(e) in [one.get(e) for one in may_be] for e in edits)
            else:
                is_fine = now in wanted
            if not is_fine:
                self.faults.append(f"{where}: {name} became {now}, not one of {wanted}")

    async def _allowed(self, others: Others) -> tuple[Outcome, Outcome]:
        """What becomes of all if the sync ends before the others go on, or begins after it."""
        if others not in self._expected:
            here = await self._prepare()
            await self._change(here)
            await self.laptop.sync_calmly()
            await self._go_on(others, here)
            await self.laptop.sync_calmly()
            first = await self._outcome(here)
            here = await self._prepare()
            await self._change(here)
            await self._go_on(others, here)
            await self.laptop.sync_calmly()
            self._expected[others] = first, await self._outcome(here)
        return self._expected[others]

    async def _outcome(self, here: Path) -> Outcome:
        found: Outcome = defaultdict(lambda: defaultdict(list))
        for document in await self.truth.live():
            path = _CONFLICT.sub(" (conflict)", document.path)
            if path.startswith((f"{here.name}/", f"{here.name} moved/")):
                label = self._labels[document.sha256]
                found[label.name][label.edit].append((path.removeprefix(here.name), label.since))
        return {
            name: {e: sorted(one) for e, one in edits.items()} for name, edits in found.items()
        }

    async def _prepare(self) -> Path:
        """Synced files in a new folder; returns the folder."""
        here = self.laptop.root / f"round {next(self._numbers):04}"
        here.mkdir()
        for name in FILES:
            (here / name).write_bytes(self._new(_Label(name, "")))
        await self.laptop.sync_calmly()
        return here

    async def _change(self, here: Path) -> None:
        """Change them here and there."""
        for name in ("edited", "both", "new"):
            (here / name).write_bytes(self._new(_Label(name, "mine")))
        (here / "renamed").rename(here / "new name")
        (here / "gone").unlink()
        async with self.laptop.opened() as mirror:
            entries = {entry.path: entry for entry in mirror.entries()}
        there = {name: entries[f"{here.name}/{name}"] for name in FILES}
        changes: list[PushedChange] = [
            _update(there[name], file_id=await self._uploaded(_Label(name, "theirs")))
            for name in ("edited there", "both")
        ]
        changes += [
            _update(there["renamed there"], filename="new name there"),
            DeleteChange(op="delete", **_named(there["gone there"])),
            CreateChange(
                op="create",
                change_id=uuid4(),
                id=uuid4(),
                folder=here.name,
                filename="new there",
                mime_type="text/plain",
                file_id=await self._uploaded(_Label("new there", "theirs")),
            ),
        ]
        results = (await self.client.push(changes)).results
        assert {result.status for result in results} == {"applied"}

    async def _go_on(self, others: Others, here: Path) -> None:
        documents = await self._documents(here, is_deleted=others == "restored")
        for document in documents:
            match others:
                case "nothing":
                    pass
                case "restored":
                    await self.client.restore(document)
                case "deleted" | "erased":
                    await self.client.delete_document(document, hard=others == "erased")
                case "reverted":
                    versions = [version async for version in self.client.versions(document)]
                    await self.client.restore(document, versions[-1].updated_at)
                case _:
                    await self._alter(others, document, here)

    async def _alter(self, others: Others, document_id: UUID, here: Path) -> None:
        document = await self.client.document(document_id)
        if others == "edited":
            changes = DocumentChanges(file_id=await self._uploaded(self._next(document)))
        elif others == "renamed":
            changes = DocumentChanges(filename=f"{document.filename} again")
        else:
            changes = DocumentChanges(folder=f"{here.name} moved")
        await self.client.change_document(document_id, changes)

    def _next(self, document: Document) -> _Label:
        label = self._labels[document.file.sha256_hash]
        return _Label(label.name, label.edit, f"{label.since} again")

    async def _documents(self, here: Path, *, is_deleted: bool) -> list[UUID]:
        return await self.truth.in_folder(here.name, is_deleted=is_deleted)

    async def _uploaded(self, label: _Label) -> UUID:
        content = BytesContent(self._new(label))
        file = await Uploader(self.client).send(content, digest_of(content), "text/plain")
        return file.id

    def _new(self, label: _Label) -> bytes:
        content = f"content {next(self._numbers)}".encode()
        self._labels[digest_of(BytesContent(content)).sha256_hash] = label
        return content


def _named(entry: Base) -> Any:  # noqa: ANN401 - arguments of a model
    return {"change_id": uuid4(), "id": entry.id, "base_updated_at": entry.version}


def _update(
    entry: Base, *, filename: str | None = None, file_id: UUID | None = None
) -> UpdateChange:
    return UpdateChange(op="update", filename=filename, file_id=file_id, **_named(entry))


async def interrupted(place: Place, seed: int) -> list[str]:
    """Kill some syncs at moments that no other seed of the next hundred kills them at.

    Returns:
        What was wrong.
    """
    connection = await place.connect()
    try:
        with tempfile.TemporaryDirectory(prefix="syncapi-simulation-") as folder:
            rng = Random(seed)
            where = place.url, place.tenant_id, place.token
            async with Client(*where) as client:
                laptop = Device("laptop", Path(folder), *where, rng)
                tried = Interruptions(laptop, client, Truth(connection, place.tenant_id))
                others = OTHERS[seed % len(OTHERS)]
                for moment in range(1 + seed // len(OTHERS) % 12, await tried.moments() + 1, 12):
                    await tried.interrupt(moment, others, is_after=seed // 96 % 2 == 1)
            return tried.faults
    finally:
        await connection.close()
