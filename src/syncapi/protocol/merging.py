"""Three-way merge of a document's fields, for the server and for clients.

Against the version that both sides started from, a field that only one side changed takes that
side's value, and one that both changed alike is no conflict. A field that both changed apart is.
The bytes (``file_id``) are one field: two contents are never mixed.
"""

from collections.abc import Mapping
from dataclasses import dataclass

Fields = Mapping[str, object]
"""Values by field name; both sides and the base have the same names."""


@dataclass(frozen=True, slots=True)
class Merged:
    """The outcome of a merge.

    Attributes:
        fields: the merged values; of a conflicting field the other side's (`theirs`).
        conflicts: names of the fields that both sides changed apart, in order.
    """

    fields: dict[str, object]
    conflicts: tuple[str, ...]


def merge(base: Fields, mine: Fields, theirs: Fields) -> Merged:
    """Merge two edits of the same base."""
    fields, conflicts = {}, []
    for name, before in base.items():
        fields[name] = theirs[name] if mine[name] == before else mine[name]
        if mine[name] != before and theirs[name] not in (before, mine[name]):
            fields[name] = theirs[name]
            conflicts.append(name)
    return Merged(fields, tuple(sorted(conflicts)))


def differing(one: Fields, other: Fields) -> tuple[str, ...]:
    """Names of the fields in which two versions differ, in order."""
    return tuple(sorted(name for name in one if one[name] != other[name]))
