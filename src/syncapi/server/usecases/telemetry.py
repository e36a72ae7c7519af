"""What use cases report of their work, so that it can be counted."""

from collections.abc import Mapping
from typing import Literal

from syncapi.protocol.archives import ArchiveFormat

Way = Literal["form", "direct"]
"""How bytes come in: through the service, or straight to the object store."""


class Activity:
    """Receives what happens and ignores it: the base class of those that count it.

    No method may raise or wait.
    """

    def poll_idle(self) -> None:
        """A poll found nothing new, and cost no query of its own."""

    def page_served(self, *, added: int, modified: int, deleted: int) -> None:
        """A pull was answered with a page of so many rows of each kind."""

    def cursor_expired(self) -> None:
        """A pull was refused because its position is of no use any more."""

    def upload_begun(self, way: Way) -> None:
        """Bytes are expected."""

    def upload_completed(self, way: Way, size: int) -> None:
        """Bytes are stored."""

    def upload_failed(self, way: Way, error: BaseException) -> None:
        """An upload failed, or an attempt to begin or complete a direct upload."""

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
