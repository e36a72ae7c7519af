"""Changes of one document that are queued one after the other: the table in docs/client.md."""

import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from fixtures.checkout import CHECKOUT
from syncapi.client.replica.coalesce import fold, without_effect
from syncapi.client.replica.records import ContentHash, PendingChange
from syncapi.protocol.documents import Document, FileInfo

CLIENT = CHECKOUT / "docs" / "client.md"
NOW = datetime(2026, 11, 23, tzinfo=UTC)
OPS = ("create", "update", "delete")

BASE = Document(
    id=UUID(int=1),
    folder="a",
    filename="base.txt",
    mime_type="text/plain",
    user_id=None,
    created_at=NOW,
    created_by=None,
    updated_at=NOW,
    is_deleted=False,
    deleted_at=None,
    deleted_by=None,
    file=FileInfo(id=UUID(int=2), md5_hash="0" * 32, sha256_hash="0" * 64, file_size=1),
)


def table() -> dict[tuple[str, str], str]:
    text = CLIENT.read_text().partition("### The queue")[2].partition("\n### ")[0]
    rows = re.findall(r"^\| (\w+) \| (\w+) \| (\w+) \|$", text, re.MULTILINE)
    return {(first, then): together for first, then, together in rows if first in OPS}


def content(number: int) -> ContentHash:
    return ContentHash(sha256=f"{number:064d}", md5=f"{number:032d}", size=number)


def change(op: str, number: int, **fields: object) -> PendingChange:
    return PendingChange.model_validate(
        {
            "change_id": UUID(int=number),
            "id": BASE.id,
            "op": op,
            "base": None if op == "create" else BASE,
            "base_updated_at": None if op == "create" else BASE.updated_at,
            "queued_at": NOW + timedelta(seconds=number),
            **fields,
        }
    )


FIELDS: dict[str, dict[str, object]] = {
    "create": {"folder": "", "filename": "new.txt", "mime_type": "a/b", "content": content(1)},
    "update": {"filename": "changed.txt", "content": content(2)},
    "delete": {},
}


@pytest.mark.parametrize("first", OPS)
@pytest.mark.parametrize("then", OPS)
def test_every_pair(first: str, then: str) -> None:
    one, other = change(first, 1, **FIELDS[first]), change(then, 2, **FIELDS[then])
    expected = table().get((first, then))
    if expected is None:
        with pytest.raises(ValueError, match="cannot follow"):
            fold(one, other)
        return
    folded = fold(one, other)
    if expected == "nothing":
        assert folded is None
        return
    assert folded is not None
    assert (folded.op, folded.change_id, folded.base) == (expected, one.change_id, one.base)
    assert folded.queued_at == other.queued_at
    last = {**FIELDS[first], **FIELDS[then]} if then != "delete" else {}
    for name in ("folder", "filename", "mime_type", "content"):
        assert getattr(folded, name) == last.get(name)


def test_the_oldest_base_stays() -> None:
    """The change before the last one was of an older version: the server judges by that."""
    newer = BASE.model_copy(update={"updated_at": NOW + timedelta(days=1)})
    later = change("update", 2, folder="b", base=newer, base_updated_at=newer.updated_at)
    folded = fold(change("update", 1, filename="b.txt"), later)
    assert folded is not None
    assert (folded.base_updated_at, folded.folder, folded.filename) == (NOW, "b", "b.txt")


def test_what_the_base_has_is_no_change() -> None:
    same = ContentHash.of_file(BASE.file)
    assert without_effect(change("update", 1, filename="base.txt", content=same)) is None
    kept = without_effect(change("update", 1, filename="base.txt", folder=""))
    assert kept is not None
    assert (kept.filename, kept.folder) == (None, "")
    for other in (change("delete", 1), change("create", 1, **FIELDS["create"])):
        assert without_effect(other) == other
