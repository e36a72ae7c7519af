"""Holds what clients were told against what was written. No I/O, and none of the product's rules.

A server that fails over to a standby which lagged loses commits that it had answered for. What
must hold even then: an answer that the standby knew of stands; of every change, the last answer
stands, since clients push again what the feed did not bring; and whatever was written, was
written upon a version that its client had seen, or as its strategy says.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from soak.stories import Fork, Story, Telling, fields_of, moment, survives
from soak.trail import Trail, Version

_OVER_LATER = ("last_write_wins",)
_OVER_DELETION = ("last_write_wins", "merge")
_RESOLUTIONS = {
    "reject": {"open"},
    "first_write_wins": {"server"},
    "merge": {"open", "server"},
    "last_write_wins": set[str](),
}


@dataclass(frozen=True, slots=True)
class Audit:
    """The audit of one tenant."""

    trail: Trail
    forks: Sequence[Fork] = ()

    def faults(self, story: Story) -> Iterator[str]:
        """What is wrong with a change's past."""
        yield from self._written(story)
        for telling in story.tellings:
            if telling is story.tellings[-1] or self._stands(story, telling):
                yield from self._told(story, telling)
        yield from self._in_a_row(story)

    def was_taken_back(self, story: Story) -> bool:
        """Whether it was told applied in a version that there is not any more."""
        return any(
            telling.status == "applied"
            and self.trail.version(story.document_id, telling.version) is None
            for telling in story.tellings
        )

    def _stands(self, story: Story, telling: Telling) -> bool:
        """Whether no fail-over can have taken back what was told."""
        if telling.version is None:
            return all(telling.sent_at > fork.at for fork in self.forks)
        return survives(story.tenant_id, telling.version, telling.sent_at, self.forks)

    def _written(self, story: Story) -> Iterator[str]:
        written, known = self.trail.changes.get(story.id, ()), self.trail.ledger[story.id]
        if len(written) > 1:
            yield f"applied {len(written)} times"
        if len(written) != known:
            yield f"written {len(written)} times, and the ledger has it {known} times"
        for version in written:
            yield from self._version(story, version)

    def _version(self, story: Story, version: Version) -> Iterator[str]:
        before = version.previous
        op = story.change["op"]
        if before is not None and self._is_collected(story, before):
            before = None
        if before is None:
            if op != "create":
                yield f"an {op} was applied to nothing"
        elif not _is_base(story, before) and not _may_follow(story, before):
            yield f"overwrote {before}, which the client had not seen, by '{story.strategy}'"
        if dict(version.fields) != self._expected(story, before):
            yield f"wrote {version.fields} on {before and before.fields}"
        if version.is_deleted != (op == "delete"):
            yield f"its version is {'' if version.is_deleted else 'not '}deleted"

    def _is_collected(self, story: Story, version: Version) -> bool:
        return (story.document_id, version.updated_at) in self.trail.collected

    def _expected(self, story: Story, before: Version | None) -> dict[str, str]:
        """The fields that the change makes of the version before it."""
        theirs = {} if before is None else dict(before.fields)
        base = self.trail.version(story.document_id, story.base)
        joins = story.strategy == "merge" and before is not None and not before.is_deleted
        if base is None or before is None or not joins:
            return theirs | story.wanted
        return theirs | {k: v for k, v in story.wanted.items() if _is_mine(k, v, base, before)}

    def _told(self, story: Story, telling: Telling) -> Iterator[str]:
        match telling.status:
            case "applied":
                yield from self._applied(story, telling)
            case "unchanged":
                yield from self._unchanged(story, telling)
            case "conflict":
                yield from self._conflict(story, telling)
            case "rejected":
                yield from self._rejected(story, telling)
        is_refused = telling.status in ("conflict", "rejected")
        if is_refused and telling is story.tellings[-1] and self.trail.ledger[story.id]:
            yield f"told {telling.status}, and was applied"

    def _applied(self, story: Story, telling: Telling) -> Iterator[str]:
        if not self.trail.ledger[story.id]:
            yield "told applied, and is neither in the history nor in the ledger"
        version = self.trail.version(story.document_id, telling.version)
        if version is None or version.change_id != story.id or telling.document is None:
            yield f"told applied as {telling.version}, which is not its version"
        elif fields_of(telling.document) != dict(version.fields):
            yield f"told applied with {fields_of(telling.document)}, and wrote {version.fields}"
        else:
            yield from self._over(story, telling, version.previous)

    def _over(self, story: Story, telling: Telling, before: Version | None) -> Iterator[str]:
        """What was overwritten or joined must be told."""
        if before is None or _is_base(story, before) or self._is_collected(story, before):
            return
        conflict = telling.result["conflict"]
        if conflict is None:
            yield f"told applied without a word of {before}, which it went over"
        elif conflict["resolution"] not in ("client", "merged"):
            yield f"told applied over {before}, as '{conflict['resolution']}'"
        elif conflict["server"] is None and not before.is_deleted:
            yield f"told applied over {before}, without the server's document"
        elif conflict["server"] and moment(conflict["server"]["updated_at"]) != before.updated_at:
            yield f"told applied over {conflict['server']}, and went over {before}"

    def _unchanged(self, story: Story, telling: Telling) -> Iterator[str]:
        if self.trail.ledger[story.id]:
            return
        document = telling.document
        is_gone = document is None or document["is_deleted"]
        if is_gone is not (story.change["op"] == "delete"):
            yield f"told unchanged, was never applied, and the server had {document}"
        elif document is not None and not is_gone:
            lacking = story.wanted.items() - fields_of(document).items()
            base = self.trail.version(story.document_id, story.base)
            if story.strategy == "merge" and base is not None:  # what it left as it was is no wish
                lacking -= base.fields.items()
            if lacking:
                yield f"told unchanged, and the server had {document}, without {lacking}"

    def _conflict(self, story: Story, telling: Telling) -> Iterator[str]:
        conflict = telling.result["conflict"]
        if conflict is None or not conflict["fields"]:
            yield "a conflict that says nothing"
            return
        if conflict["resolution"] not in _RESOLUTIONS[story.strategy]:
            yield f"a conflict of '{story.strategy}' settled as '{conflict['resolution']}'"
        if conflict["server"] is None:
            if not self.trail.was_ever_deleted(story.document_id):
                yield "a conflict without the server's document"
            return
        told_at = moment(conflict["server"]["updated_at"])
        there = self.trail.version(story.document_id, told_at)
        if told_at == story.base:
            yield "a conflict with the version that the change was made from"
        if there is None or dict(there.fields) != fields_of(conflict["server"]):
            yield f"a conflict with {conflict['server']}, which the server never had"
        if telling.held is not None and told_at < telling.held and not self.forks:
            yield f"a conflict with {told_at}; the client had {telling.held} already"

    def _rejected(self, story: Story, telling: Telling) -> Iterator[str]:
        code = telling.result["problem"]["code"]
        file_id = story.change.get("file_id")  # without one it is the document's own
        gone = not self._stands(story, telling) or self.trail.was_ever_deleted(story.document_id)
        base = self.trail.version(story.document_id, story.base)
        lost = bool(self.forks) and base is None
        if code == "not_found" and not (gone or lost):
            yield "rejected, since there was no such document; it was never deleted"
        elif code == "invalid_file" and (file_id is None or file_id in self.trail.files):
            yield "rejected for its content, which the tenant has"
        elif code not in ("not_found", "invalid_file", "not_applied"):
            yield f"rejected: {telling.result['problem']}"

    def _in_a_row(self, story: Story) -> Iterator[str]:
        """Once applied, a change is unchanged for ever.

        Of two that are sent at once, either may come first.
        """
        applied_at = float("inf")
        for telling in story.tellings:
            if telling.sent_at > applied_at and telling.status != "unchanged":
                yield f"told {telling.status} after it had been applied"
            if telling.status == "applied" and self._stands(story, telling):
                applied_at = min(applied_at, telling.sent_at)


def _is_base(story: Story, before: Version) -> bool:
    """Whether the change was made from this version, or from one that it is a copy of."""
    version: Version | None = before
    while version is not None and version.updated_at != story.base:
        version = version.previous
        if version is not None and (version.fields, version.is_deleted) != (
            before.fields,
            before.is_deleted,
        ):
            return False
    return version is not None


def _may_follow(story: Story, before: Version) -> bool:
    """Whether a change may be written on a version that it was not made from."""
    if story.change["op"] == "delete":
        return story.strategy in _OVER_LATER
    if before.is_deleted:
        return story.strategy in _OVER_DELETION
    return story.strategy in _OVER_LATER or _joins(story, before)


def _joins(story: Story, before: Version) -> bool:
    """Whether a merge took from each side what that side alone had changed."""
    if story.strategy != "merge" or story.change["op"] != "update":
        return False
    base = _earlier(before, story)
    return base is not None and all(
        base.fields[name] == before.fields[name]
        or value in (before.fields[name], base.fields[name])
        for name, value in story.wanted.items()
    )


def _earlier(version: Version, story: Story) -> Version | None:
    """The version that the change was made from, among those before."""
    found: Version | None = version
    while found is not None and found.updated_at != story.base:
        found = found.previous
    return found


def _is_mine(name: str, value: str, base: Version, before: Version) -> bool:
    """Whether a merge takes the client's value of a field."""
    return value != base.fields[name] or before.fields[name] == base.fields[name]
