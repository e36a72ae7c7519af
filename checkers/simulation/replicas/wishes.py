"""What the users of a program have asked of its replica, and what they had before their eyes."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Final, TypeAlias
from uuid import UUID

from syncapi.client.follower.values import Values

ValuesByField: TypeAlias = defaultdict[str, set[object]]

_MARK: Final = re.compile(r"\b[nft]\d+x\b")


class Marks:
    """Names, folders and types that nobody else has: whatever happens to them can be followed."""

    def __init__(self) -> None:
        self._numbers = count()

    def filename(self) -> str:
        return f"n{next(self._numbers)}x.txt"

    def folder(self) -> str:
        return f"f{next(self._numbers)}x"

    def mime_type(self) -> str:
        return f"text/t{next(self._numbers)}x"


def marks_of(values: Mapping[str, object]) -> set[str]:
    """What can be followed of a document's fields: the SHA-256 of its bytes, and marks."""
    texts = [str(value) for name, value in values.items() if name != "content"]
    found = {mark for text in texts for mark in _MARK.findall(text)}
    return found | {str(value) for name, value in values.items() if name == "content" and value}


def _by_field() -> ValuesByField:
    return defaultdict(set)


@dataclass(slots=True)
class Wishes:
    """Of all users of one program, since its beginning.

    Attributes:
        asked: the values that a document was to have, by field; of `is_deleted` too.
        seen: the values that it had in front of somebody who changed it or settled a conflict.
        given_up: marks of what was written over, or taken back, before it was known to have left.
        made: documents that somebody has made.
        written_over: of documents, marks of what was in sight when it was written over. Where the
            server has lost it and others have changed the document since, that need not come back.
        resolved: documents of which a user has settled a conflict.
        touched: documents that were changed or settled since this was emptied last.
    """

    asked: dict[UUID, ValuesByField] = field(default_factory=lambda: defaultdict(_by_field))
    seen: dict[UUID, ValuesByField] = field(default_factory=lambda: defaultdict(_by_field))
    given_up: set[str] = field(default_factory=set)
    made: set[UUID] = field(default_factory=set)
    written_over: dict[UUID, set[str]] = field(default_factory=lambda: defaultdict(set))
    resolved: set[UUID] = field(default_factory=set)
    touched: set[UUID] = field(default_factory=set)

    def ask(self, document_id: UUID, values: Values | None) -> None:
        """Note what a document is to become; None if it is to be deleted."""
        self.touched.add(document_id)
        asked = self.asked[document_id]
        asked["is_deleted"].add(values is None)
        for name, value in (values or {}).items():
            asked[name].add(value)
        self.given_up -= marks_of(values or {})

    def see(self, document_id: UUID, values: Values | None) -> None:
        """Note what somebody saw of a document; None if it was deleted."""
        for name, value in (values or {}).items():
            self.seen[document_id][name].add(value)

    def write_over(self, document_id: UUID, values: Values | None) -> None:
        """Note what of a document was in sight, and gives way to something else."""
        self.written_over[document_id] |= marks_of(values or {})

    def give_up(self, marks: Iterable[str]) -> None:
        self.given_up |= set(marks)

    def contents(self) -> set[str]:
        """SHA-256 of all that was ever asked for."""
        return {str(value) for values in self.asked.values() for value in values["content"]}
