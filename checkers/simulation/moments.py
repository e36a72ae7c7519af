"""How a device and the server are, between two syncs."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Self
from uuid import UUID

from simulation.device import Device
from simulation.truth import LiveDocument, Truth, Version
from syncapi.client.folder.ignore_rules import read_ignores
from syncapi.client.folder.model import Base
from syncapi.client.folder.names import join


@dataclass(frozen=True, slots=True)
class Moment:
    """A device and the server, between two syncs.

    Attributes:
        tree: SHA-256 by path of the folder.
        identities: inodes and times of birth of the same files, by path.
        kept: SHA-256 of what is in the folder and in the trash.
        asked: documents with their versions, and the SHA-256 that somebody was asked about.
        decided: those of them that somebody decided for.
        aside: documents that are copies of open conflicts.
        pulled: documents that live as far as the device knows.
    """

    tree: dict[str, str]
    identities: dict[str, tuple[int, int | None]]
    kept: set[str]
    asked: set[tuple[UUID, datetime | None, str]]
    decided: set[tuple[UUID, datetime | None, str]]
    aside: set[UUID | None]
    pulled: set[UUID]
    entries: tuple[Base, ...]
    covers: Callable[[str], bool]
    live: dict[UUID, LiveDocument]
    versions: frozenset[Version]

    @classmethod
    async def now(cls, device: Device, truth: Truth) -> Self:
        return cls(
            device.tree(),
            device.identities(),
            device.kept(),
            device.asked_about(),
            device.decided_for(),
            device.set_aside(),
            device.pulled(),
            device.entries(),
            read_ignores(device.root).covers,
            {document.id: document for document in await truth.live()},
            frozenset(await truth.versions()),
        )

    @property
    def on_server(self) -> set[str]:
        return {version.sha256 for version in self.versions}

    def in_sight(self) -> Iterable[Base]:
        """Entries that are not ignored, with each push that has arrived, answered or not."""
        for entry in self.entries:
            if not (entry.was_ignored or self.covers(entry.path)):
                yield self._answered(entry)

    def agreed(self) -> Iterable[Base]:
        """Those of them of which nothing is open."""
        return (entry for entry in self.in_sight() if not (entry.lost or entry.sent))

    def _answered(self, entry: Base) -> Base:
        sent, there = entry.sent, self.live.get(entry.id)
        if sent is None or there is None:
            return entry
        if (there.path, there.sha256) != (join(sent.folder, sent.filename), sent.sha256):
            return entry
        return entry.answered(there.version)
