"""Conditions on the version of a document (RFC 9110 §13.1)."""

from dataclasses import dataclass
from datetime import datetime

from syncapi.protocol.versions import version_tag
from syncapi.server.domain.errors import PreconditionFailed


@dataclass(frozen=True, slots=True)
class VersionCondition:
    """``If-Match`` or ``If-None-Match``.

    The tags are weak, and are compared as weak ones for ``If-Match`` too: a version names a
    state of the document, whatever the encoding it is sent in.

    Attributes:
        tags: the versions that fit; None for ``*``, which every version fits.
    """

    tags: frozenset[str] | None

    def fits(self, updated_at: datetime) -> bool:
        return self.tags is None or version_tag(updated_at) in self.tags

    def require(self, updated_at: datetime | None) -> None:
        """Hold the current version against ``If-Match``.

        Args:
            updated_at: None where the document is gone, which ``*`` is let pass for.

        Raises:
            PreconditionFailed: it is another one.
        """
        fits = self.tags is None if updated_at is None else self.fits(updated_at)
        if not fits:
            raise PreconditionFailed(
                "The document has another version than If-Match names. Read it again, look at "
                "what changed, and repeat the request with its new ETag."
            )


UNCONDITIONAL = VersionCondition(None)
