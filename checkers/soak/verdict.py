"""What devices were told, held against what was written."""

from collections.abc import Iterable, Sequence
from uuid import UUID

import asyncpg

from soak.audit import Audit
from soak.device import Device
from soak.stories import Fork
from soak.trail import Trail, read_trail
from soak.truth import Difference


async def verify_pushes(
    connection: asyncpg.Connection,
    devices: Iterable[Device],
    forks: Sequence[Fork] = (),
    *,
    is_trail_kept: bool = True,
) -> None:
    """Hold all that devices were told against what was written, at rest.

    Faults go to the misses of the devices' readers.
    """
    trails: dict[UUID, Trail] = {}
    for device in devices:
        tenant, tally = device.reader.member.tenant_id, device.tally
        if tenant not in trails:
            trails[tenant] = await read_trail(connection, tenant, is_kept=is_trail_kept)
        audit = Audit(trails[tenant], forks)
        found = [
            Difference(story.document_id, "push", f"{what}: {story}")
            for story in device.stories
            for what in audit.faults(story)
        ]
        await device.reader.record(connection, [*device.faults, *found])
        lost = sum(audit.was_taken_back(story) for story in device.stories)
        tally("checked: pushed changes that a fail-over took back", lost)
        written = trails[tenant].ledger
        tally("checked: pushed changes", len(device.stories))
        tally(
            "checked: pushed changes that were written",
            sum(s.id in written for s in device.stories),
        )
