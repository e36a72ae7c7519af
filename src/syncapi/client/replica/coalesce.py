"""Joins two queued changes of one document into one. Pure.

Only a change that was never sent is joined: the outcome of one that may have arrived is not known.
"""

from syncapi.client.replica.records import PendingChange

CHANGEABLE = ("folder", "filename", "mime_type", "content")


def fold(first: PendingChange, then: PendingChange) -> PendingChange | None:
    """What two changes come to; None if they cancel out.

    ============ ========= =============================================
    first        then      together
    ============ ========= =============================================
    create       update    a create with the later fields
    create       delete    nothing
    update       update    an update of the first one's base
    update       delete    a deletion of the first one's base
    delete       create    an update of the base to all the new fields
    ============ ========= =============================================

    Raises:
        ValueError: the second cannot follow the first, such as an update of what is deleted.
    """
    match first.op, then.op:
        case (("create" | "update"), "update"):
            return _with_fields(first, then)
        case "create", "delete":
            return None
        case "update", "delete":
            return then.model_copy(update=_origin(first))
        case "delete", "create":
            return then.model_copy(update={"op": "update", **_origin(first)})
        case _:
            raise ValueError(f"a {then.op} cannot follow a {first.op}")


def without_effect(change: PendingChange) -> PendingChange | None:
    """Leave out of an update what its base has already; None if nothing is left.

    Only for a base that is the replica's own: else to go back to it is a wish like any other.
    """
    if change.op != "update" or change.base is None:
        return change
    base = change.base
    dropped: dict[str, object] = {
        name: None
        for name in ("folder", "filename", "mime_type")
        if getattr(change, name) == getattr(base, name)
    }
    if change.content is not None and change.content.sha256 == base.file.sha256_hash:
        dropped["content"] = None
    kept = change.model_copy(update=dropped)
    return kept if any(getattr(kept, name) is not None for name in CHANGEABLE) else None


def _with_fields(first: PendingChange, then: PendingChange) -> PendingChange:
    wanted = {name: getattr(then, name) for name in CHANGEABLE}
    given = {name: value for name, value in wanted.items() if value is not None}
    return first.model_copy(update={**given, "queued_at": then.queued_at})


def _origin(first: PendingChange) -> dict[str, object]:
    return {
        "change_id": first.change_id,
        "base": first.base,
        "base_updated_at": first.base_updated_at,
        "on_conflict": first.on_conflict,
    }
