"""What to list, and which page of it."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A page of a tenant's live documents, newest first.

    Attributes:
        page: from 1.
        folder: the documents of this one alone, not of those inside it; None for all.
        filename: a part of the name, without regard to case; None for all.
        modified_after, modified_before, created_after: exclusive; None for no bound.
    """

    page: int = 1
    per_page: int = 20
    folder: str | None = None
    filename: str | None = None
    modified_after: datetime | None = None
    modified_before: datetime | None = None
    created_after: datetime | None = None

    @property
    def offset(self) -> int:
        return (self.page - 1) * self.per_page
