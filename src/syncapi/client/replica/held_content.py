"""Contents that a program reads while runs replace them and tidy up."""

from dataclasses import dataclass
from typing import BinaryIO

from syncapi.client.errors import ContentReplaced, StoreDamaged
from syncapi.client.replica.tables import Tables


@dataclass(frozen=True, slots=True)
class HeldContent:
    """The bytes that a document had when they were asked for; a `Content`."""

    tables: Tables
    sha256: str
    size: int

    def open(self) -> BinaryIO:
        """A seekable stream at the first byte, which stays readable whatever runs do meanwhile.

        Raises:
            ContentReplaced: nothing has these bytes any more, so that they were taken away.
            StoreDamaged: they should be there, and are not, or not as they were.
        """
        content = self.tables.store.blobs.content(self.sha256, self.size)
        try:
            return content.open()
        except StoreDamaged as error:
            if self._is_kept():
                return content.open()  # it may have come back meanwhile
            raise ContentReplaced(
                "The document has other bytes by now, or is gone; these are not kept any more.",
                hint="Ask the replica for the document's content again.",
            ) from error

    def _is_kept(self) -> bool:
        with self.tables.store.transaction():
            return self.sha256 in self.tables.contents_held()
