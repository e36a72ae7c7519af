"""The operator, who runs `syncapi feed void` after a loss for the sake of readers by time."""

import asyncio
from dataclasses import dataclass

from soak.session import session
from soak.tally import Tally
from syncapi.server.postgres.failures import is_down, is_transient


@dataclass(frozen=True, slots=True)
class Operator:
    """Attributes:
    voids: whether they void all cursors after each loss; without it nobody may read by time.
    """

    database_url: str
    tally: Tally
    voids: bool

    async def see_to_loss(self) -> None:
        """Void all cursors of the server that has lost history, once it can be written to."""
        while self.voids:
            try:
                async with session(self.database_url) as connection:
                    await connection.execute("SELECT feed.void_cursors()")
            except Exception as error:
                if not (is_down(error) or is_transient(error)):
                    raise
                await asyncio.sleep(0.1)
            else:
                self.tally("operated: cursors voided after a loss")
                return
