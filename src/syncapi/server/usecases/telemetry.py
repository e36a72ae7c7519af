"""What use cases tell of their work, to whoever counts it."""

from collections.abc import Mapping
from typing import Literal

from syncapi.protocol.archives import ArchiveFormat

Way = Literal["form", "direct"]
"""How bytes come in: through the service, or straight to the object store."""


class Activity:
    """Is told what happens, and keeps nothing of it: the base of those that count.

    No method may raise or wait.
    """

    def upload_begun(self, way: Way) -> None:
        """Bytes are expected."""

    def upload_completed(self, way: Way, size: int) -> None:
        """They are kept."""

    def upload_failed(self, way: Way, error: BaseException) -> None:
        """They are not, this time; of direct uploads any attempt to begin or complete one."""

    def archive_ended(
        self, format_: ArchiveFormat, *, error: BaseException | None, sent: int, seconds: float
    ) -> None:
        """An archive was made to its end, or broken off after ``sent`` bytes."""

    def group_committed(self, pushes: int, changes: int) -> None:
        """So many pushes shared a transaction."""

    def pushed(self, statuses: Mapping[str, int]) -> None:
        """A push was answered: how many of its changes have each status."""

    def push_failed(self, error: BaseException) -> None:
        """A push could not be carried out."""


UNCOUNTED = Activity()
